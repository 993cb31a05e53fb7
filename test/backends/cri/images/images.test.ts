import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PodHappening } from '../../../../src/backends/backend.ts'
import { criError, pullSentence } from '../../../../src/backends/cri/runtime/errors.ts'
import { credentialsFor } from '../../../../src/backends/cri/images/image-credentials.ts'
import { defaultPullPolicy, parseImageName } from '../../../../src/backends/cri/images/image-name.ts'
import type { Secret } from '../../../../src/model/kubernetes.ts'
import { aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { anImage } from '../fake-runtime.ts'
import { FakeSources } from '../fake-sources.ts'
import { OnePod } from '../one-pod.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('the name of an image', () => {
  it.each([
    ['nginx', 'nginx:latest', 'nginx', 'docker.io/library/nginx'],
    ['team/app:v1', 'team/app:v1', 'team/app', 'docker.io/team/app'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app', 'localhost/app'],
    ['registry:5000/a/b:c', 'registry:5000/a/b:c', 'registry:5000/a/b', 'registry:5000/a/b'],
    [`quay.example/x@${digest}`, `quay.example/x@${digest}`, 'quay.example/x', 'quay.example/x'],
  ])('%s is read', (text, reference, name, repository) => {
    expect(parseImageName(text)).toMatchObject({ reference, name, repository })
  })

  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['docker.io/library/nginx:latest', 'docker.io/library/nginx:latest'],
    ['team/app:v1', 'docker.io/team/app:v1'],
    [`registry:5000/app:v1@${digest}`, `registry:5000/app@${digest}`],
  ])('%s is in full what the runtime calls it', (text, full) => {
    expect(parseImageName(text).full).toBe(full)
  })

  it.each(['', 'Upper', 'a//b', 'a:b:c', 'a@sha256:12', 'a b', 'a:-tag'])('"%s" is refused', (text) => {
    expect(() => parseImageName(text)).toThrow(expect.objectContaining({ reason: 'InvalidImageName' }))
  })

  it.each([
    ['Upper', ': repository name (library/Upper) must be lowercase'],
    ['No/Name:1', ': repository name (Name) must be lowercase'],
    ['a//b', ''],
  ])('"%s" is refused in kubelet’s words', (text, why) => {
    const message = `Failed to apply default image tag "${text}": couldn't parse image name "${text}": invalid reference format${why}`
    expect(() => parseImageName(text)).toThrow(expect.objectContaining({ message }))
  })

  it('decides when it is pulled, unless told', () => {
    expect(['a', 'a:latest', 'a:1'].map(defaultPullPolicy)).toEqual(['Always', 'Always', 'IfNotPresent'])
  })
})

describe('a failed pull', () => {
  const said = (code: number): string =>
    pullSentence(criError('PullImage', Object.assign(new Error(), { code, details: 'no luck' })))

  it.each([
    ['no code for Unknown', status.UNKNOWN, 'no luck'],
    ['Go’s word for the others', status.NOT_FOUND, 'rpc error: code = NotFound desc = no luck'],
    ['also where it is spelt otherwise', status.CANCELLED, 'rpc error: code = Canceled desc = no luck'],
  ])('is told as kubelet does: %s', (_, code, sentence) => {
    expect(said(code)).toBe(sentence)
  })
})

describe('credentials for a registry', () => {
  const secret = (auths: Record<string, object>, name = 'pull'): Secret => ({
    metadata: { namespace: 'shop', name, uid: `uid-${name}` },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': encode({ auths }) },
  })
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64')
  const user = (username: string) => ({ username, password: 'x' })
  const found = (repository: string, auths: Record<string, object>) =>
    credentialsFor(repository, [secret(auths)]).map(({ auth }) => auth.username)

  it('are found by host and path, the most specific first', () => {
    const auths = {
      'r.example': user('all'),
      'https://r.example/v2/team': user('team'),
      'r.example/other': user('other'),
      'elsewhere.example': user('elsewhere'),
    }
    expect(found('r.example/team/app', auths)).toEqual(['team', 'all'])
  })

  it('are found by port', () => {
    const auths = { '10.0.0.1:5000': user('right'), '10.0.0.1:5001': user('other'), '10.0.0.1': user('none') }
    expect(found('10.0.0.1:5000/app', auths)).toEqual(['right'])
  })

  it('are found for every host of a domain by a star, which stands for one label and no port', () => {
    const auths = { '*.r.example': user('star') }
    expect(found('eu.r.example/app', auths)).toEqual(['star'])
    expect(found('a.eu.r.example/app', auths)).toEqual([])
    expect(found('eu.r.example:5000/app', auths)).toEqual([])
  })

  it('of Docker Hub are known under its old address, unless there are others', () => {
    const old = { 'https://index.docker.io/v1/': user('old') }
    expect(found('docker.io/library/nginx', old)).toEqual(['old'])
    expect(found('docker.io/library/nginx', { ...old, 'docker.io': user('new') })).toEqual(['new'])
    expect(found('r.example/nginx', old)).toEqual([])
  })

  it('are taken from the joined form, with colons in the password', () => {
    const auth = Buffer.from('me:p:w').toString('base64')
    expect(credentialsFor('r.example/a', [secret({ 'r.example': { auth } })])[0]?.auth).toEqual({
      username: 'me',
      password: 'p:w',
    })
  })

  it('are taken from the older kind of Secret, and from no other kind', () => {
    const data = { '.dockercfg': encode({ 'r.example': user('me') }) }
    const of = (type: string) => credentialsFor('r.example/a', [{ metadata: {}, type, data }])
    expect(of('kubernetes.io/dockercfg').map(({ auth }) => auth.username)).toEqual(['me'])
    expect(of('Opaque')).toEqual([])
  })

  it('say which Secret they are from, and are told apart without being shown', () => {
    const [first, second] = credentialsFor('r.example/a', [
      secret({ 'r.example': user('me') }, 'one'),
      secret({ 'r.example': user('me') }, 'two'),
    ])
    expect(first?.source).toMatchObject({ namespace: 'shop', name: 'one', uid: 'uid-one' })
    expect(first?.source.hash).toBe(second?.source.hash)
    expect(first?.source.hash).toMatch(/^[0-9a-f]{64}$/)
  })

  it('that cannot be read are an error that names the Secret', () => {
    const broken = (text: string): Secret => ({
      ...secret({}, 'bad'),
      data: { '.dockerconfigjson': Buffer.from(text).toString('base64') },
    })
    const auth = Buffer.from('no colon').toString('base64')
    for (const text of ['{', '{"auths": []}', `{"auths": {"r.example": {"auth": "${auth}"}}}`]) {
      expect(() => credentialsFor('r.example/a', [broken(text)]), text).toThrow(
        /Secret "bad" holds no readable/,
      )
    }
    const quoted = '{"auths": {"r.example": {"password": planted-secret}}}'
    expect(() => credentialsFor('r.example/a', [broken(quoted)])).toThrow(/it is no JSON$/)
  })
})

describe('an image that a container wants', () => {
  const app = 'registry.example/app:1'
  const { signal } = new AbortController()
  let pod: OnePod
  let sources: FakeSources
  let told: PodHappening[]

  beforeEach(async () => {
    pod = await OnePod.open()
    sources = new FakeSources()
    told = []
  })

  afterEach(async () => await pod.close())

  interface Wanted {
    readonly image?: string
    readonly policy?: 'Always' | 'IfNotPresent' | 'Never'
    /** The name of a Secret with a login. */
    readonly login?: string
    readonly uid?: string
    readonly until?: AbortSignal
  }

  async function ensure({ image = app, policy, login, uid = 'a', until = signal }: Wanted): Promise<string> {
    const imagePullSecrets = login === undefined ? [] : [{ name: login }]
    const container = { image, ...(policy && { imagePullPolicy: policy }) }
    const wanting = aPod({ uid, spec: { imagePullSecrets } })
    const tell = (happening: PodHappening) => void told.push(happening)
    const { images } = pod.handle.tools
    return (await images.ensure({ pod: wanting, container, sources, tell }, until)).id
  }

  function secret(name: string, username = name): void {
    const auths = {
      'registry.example': { username, password: 'x' },
      'docker.io': { username, password: 'x' },
    }
    sources.secrets.set(name, {
      metadata: { namespace: 'default', name, uid: `uid-${name}` },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
    })
  }

  function slowPull(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = (call) => (call.startsWith('pull') ? promise : undefined)
    return resolve
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await settled()
  }

  it('is pulled when it is missing, and then it is here', async () => {
    const id = await ensure({})
    expect(await ensure({})).toBe(id)
    expect(pod.runtime.calls).toEqual([`pull ${app}`])
    expect(told.map(({ reason }) => reason)).toEqual(['Pulling', 'Pulled', 'Pulled'])
  })

  it('is pulled each time when it is to be, or its tag moves', async () => {
    for (let time = 0; time < 2; time++) await ensure({ policy: 'Always' })
    await ensure({ image: 'registry.example/app' })
    expect(pod.runtime.calls).toHaveLength(3)
  })

  it('is never pulled when it must not be', async () => {
    await expect(ensure({ policy: 'Never' })).rejects.toMatchObject({ reason: 'ErrImageNeverPull' })
    pod.runtime.images.set(app, anImage('sha256:by-hand', app))
    expect(await ensure({ policy: 'Never' })).toBe('sha256:by-hand')
    expect(pod.runtime.calls).toEqual([])
  })

  it('is pulled once for all who wait for it', async () => {
    const goOn = slowPull()
    const all = ['a', 'b', 'c'].map((uid) => ensure({ uid, policy: 'Always' }))
    await until(() => told.length === 3 && pod.runtime.calls.length > 0)
    goOn()
    expect(new Set(await Promise.all(all)).size).toBe(1)
    expect(pod.runtime.calls).toEqual([`pull ${app}`])
  })

  it('is not waited for by who has gone, and comes for the others', async () => {
    const goOn = slowPull()
    const gone = new AbortController()
    const waiting = [ensure({ until: gone.signal }), ensure({ uid: 'b' })] as const
    await until(() => pod.runtime.calls.length > 0)
    gone.abort(new Error('the Pod is being stopped'))
    await expect(waiting[0]).rejects.toThrow('the Pod is being stopped')
    goOn()
    await waiting[1]
    // It was no failure of the one who has gone.
    expect(told.map(({ reason }) => reason)).not.toContain('Failed')
    await ensure({ policy: 'Always' })
  })

  it('that cannot be pulled is tried again after 10 s, then 20 s, by each Pod for itself', async () => {
    pod.runtime.before = () => Promise.reject(new Error('no such image'))
    await expect(ensure({})).rejects.toMatchObject({ reason: 'ErrImagePull', afterMs: 10_000 })
    await expect(ensure({})).rejects.toMatchObject({ reason: 'ImagePullBackOff', afterMs: 10_000 })
    await expect(ensure({ uid: 'b' })).rejects.toMatchObject({ reason: 'ErrImagePull' })
    await pod.clock.advance(10_000)
    await expect(ensure({})).rejects.toMatchObject({ reason: 'ErrImagePull', afterMs: 20_000 })
    await pod.clock.advance(20_000)
    pod.runtime.before = () => undefined
    await ensure({})
    pod.runtime.before = () => Promise.reject(new Error('gone again'))
    await expect(ensure({ policy: 'Always' })).rejects.toMatchObject({ afterMs: 10_000 })
  })

  it('is looked for again when the runtime could not be asked at first', async () => {
    pod.runtime.beforeLook = () => Promise.reject(new Error('not there yet'))
    await expect(ensure({})).rejects.toThrow('not there yet')
    pod.runtime.beforeLook = () => undefined
    await ensure({})
    expect(pod.runtime.calls).toEqual([`pull ${app}`])
  })

  it('that came with a login is not for who has none, also after a restart of ours', async () => {
    secret('pull')
    await ensure({ login: 'pull' })
    for (let life = 0; life < 2; life++) {
      await expect(ensure({ uid: 'b', policy: 'Never' })).rejects.toMatchObject({
        reason: 'ErrImageNeverPull',
      })
      await ensure({ uid: 'c', login: 'pull', policy: 'Never' })
      pod = await pod.afterCrash()
    }
    await ensure({ uid: 'b' })
    expect(pod.runtime.logins).toEqual([{ username: 'pull', password: 'x' }, undefined])
  })

  it('is nobody’s when the process was killed over its pull with a login', async () => {
    secret('pull')
    const { promise } = Promise.withResolvers<never>()
    pod.runtime.after = (call) => (call.startsWith('pull') ? promise : undefined)
    ensure({ login: 'pull' }).catch(() => undefined)
    await until(() => pod.runtime.images.size > 0)
    pod.runtime.after = () => undefined
    pod = await pod.afterCrash()
    await expect(ensure({ uid: 'b', policy: 'Never' })).rejects.toMatchObject({ reason: 'ErrImageNeverPull' })
  })

  it('is nobody else’s and nobody’s to remove while it is being pulled, by whatever name', async () => {
    secret('pull')
    pod.runtime.images.clear()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.after = (call) => (call.startsWith('pull') ? promise : undefined)
    const full = 'docker.io/team/app:1'
    const image = anImage('sha256:app', full)
    for (const name of ['team/app:1', full]) pod.runtime.images.set(name, image)
    const pulling = ensure({ image: 'team/app:1', login: 'pull', policy: 'Always' })
    await until(() => pod.runtime.calls.length > 0)
    const other = { uid: 'b', image: full, policy: 'Never' } as const
    await expect(ensure(other)).rejects.toMatchObject({ reason: 'ErrImageNeverPull' })
    resolve()
    await pulling
    const { images } = pod.handle.tools
    expect((await images.pulled(signal)).map(({ id }) => id)).toContain('sha256:app')
    const again = Promise.withResolvers<void>()
    pod.runtime.after = (call) => (call.startsWith('pull') ? again.promise : undefined)
    const anew = ensure({ image: 'team/app:1', login: 'pull', policy: 'Always' })
    await until(() => pod.runtime.calls.length > 1)
    expect(await images.pulled(signal)).toEqual([])
    again.resolve()
    await anew
  })

  it('is missing again when it was removed', async () => {
    const id = await ensure({})
    await pod.handle.tools.images.remove(id, signal)
    await ensure({})
    expect(pod.runtime.calls).toEqual([`pull ${app}`, `remove ${id}`, `pull ${app}`])
  })

  it('is pulled without a Secret that is not there, which is told', async () => {
    await ensure({ login: 'lost' })
    expect(told).toContainEqual(expect.objectContaining({ reason: 'FailedToRetrieveImagePullSecret' }))
    expect(pod.runtime.logins).toEqual([undefined])
  })
})
