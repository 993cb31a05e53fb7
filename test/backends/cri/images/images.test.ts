import { status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { criError, pullSentence } from '../../../../src/backends/cri/runtime/errors.ts'
import { credentialsFor } from '../../../../src/backends/cri/images/image-credentials.ts'
import { defaultPullPolicy, parseImageName } from '../../../../src/backends/cri/images/image-name.ts'
import type { Secret } from '../../../../src/model/kubernetes.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('the name of an image', () => {
  it.each([
    ['nginx', 'nginx:latest', 'nginx', 'docker.io/library/nginx'],
    ['team/app:v1', 'team/app:v1', 'team/app', 'docker.io/team/app'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app', 'localhost/app'],
    ['registry:5000/a/b:c', 'registry:5000/a/b:c', 'registry:5000/a/b', 'registry:5000/a/b'],
    [`quay.example/x@${digest}`, `quay.example/x@${digest}`, 'quay.example/x', 'quay.example/x'],
  ])('%s is read', (text, reference, name, repository) => {
    expect(parseImageName(text)).toEqual({ reference, name, repository })
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
  })
})
