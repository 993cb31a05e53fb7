import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StatusView } from '../../src/console/api/contract.ts'
import { pods, secrets, serviceAccounts } from '../../src/kube/resources.ts'
import type { PodSpec, Secret } from '../../src/model/kubernetes.ts'
import { startLoginRegistry, type LoginRegistry } from '../support/login-registry.ts'
import { pullStories } from '../support/pull-story.ts'
import { isReady, story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-pull-secrets'
const told = story(namespace)
const { waitingReason, waitingMessage, messagesOf, toldOfBackoff, pullStory } = pullStories(told)
let registry: LoginRegistry
let image: string

beforeAll(async () => {
  const { api, signal } = told.current
  registry = await startLoginRegistry(told.current)
  image = `${registry.host}/library/busybox:1.37`
  const { host, user, password } = registry
  await api.create(secrets, configJson('right', { [host]: { username: user, password } }), signal)
  await api.create(secrets, configJson('wrong', { [host]: { username: user, password: 'guess' } }), signal)
  await api.create(secrets, configJson('elsewhere', { 'r.example': { username: user, password } }), signal)
  await api.create(
    secrets,
    dockercfg('old-kind', { [host]: { auth: encode(`${user}:${password}`) } }),
    signal,
  )
  const account = { metadata: { namespace, name: 'puller' }, imagePullSecrets: [{ name: 'right' }] }
  await api.create(serviceAccounts, account, signal)
})

afterAll(async () => await registry?.kill())

describe('an image in a registry that asks for a login', () => {
  test('without one: the reasons that the real kubelet gives', async () => {
    const { until } = told.current
    await create('bare', {})
    await create('bare-on-server', onServer)
    for (const name of ['bare', 'bare-on-server']) {
      await until(`${name} backs off`, () => waitingReason(name) === 'ImagePullBackOff')
      await until(`people are told of ${name}`, () => toldOfBackoff(name))
    }
    expect(await pullStory('bare')).toEqual(await pullStory('bare-on-server'))
    expect(waitingMessage('bare')).toContain(`Back-off pulling image "${image}": ErrImagePull: `)
    expect(await messagesOf('bare', 'Failed')).toContainEqual(
      expect.stringMatching(/basic auth credentials|401/),
    )
  })

  test('with a wrong password: the registry’s answer', async () => {
    const { until } = told.current
    await create('wrong', pullWith('wrong'))
    await until('it backs off', () => waitingReason('wrong') === 'ImagePullBackOff')
    expect(await messagesOf('wrong', 'Failed')).toContainEqual(expect.stringContaining('401 Unauthorized'))
  })

  test('with a login for another registry: as without one', async () => {
    const { until } = told.current
    await create('astray', pullWith('elsewhere'))
    await until('it backs off', () => waitingReason('astray') === 'ImagePullBackOff')
  })

  test('with a Secret that is not there: it says which', async () => {
    const { until } = told.current
    await create('secretless', pullWith('nowhere'))
    await until('people are told', async () =>
      (await messagesOf('secretless', 'FailedToRetrieveImagePullSecret')).some((text) =>
        text.includes('(nowhere)'),
      ),
    )
  })

  test.each([
    ['json', 'right'],
    ['cfg', 'old-kind'],
  ])('with a login in a Secret of kind docker%s it runs', async (name, secret) => {
    const { until, pod } = told.current
    await create(name, { ...pullWith(secret), ...always })
    await until('it is ready', () => isReady(pod(name)))
    await until('people are told', async () => (await messagesOf(name, 'Pulled')).length > 0)
    expect(await messagesOf(name, 'Pulled')).toContainEqual(
      expect.stringMatching(
        /^Successfully pulled image ".*" in \S+ \(\S+ including waiting\)\. Image size: \d+ bytes\.$/,
      ),
    )
  })

  test('with the login of its ServiceAccount it runs', async () => {
    const { until, pod } = told.current
    await create('by-account', { serviceAccountName: 'puller', ...always })
    await until('it is ready', () => isReady(pod('by-account')))
    expect(pod('by-account')?.spec?.imagePullSecrets).toEqual([{ name: 'right' }])
  })
})

describe('once the image is on the machine', () => {
  test('who has no login does not get it, as on the real kubelet', async () => {
    const { until, pod } = told.current
    await create('right-on-server', { ...pullWith('right'), ...onServer })
    await until('the server has it', () => isReady(pod('right-on-server')))
    await create('thief', {})
    await create('thief-on-server', onServer)
    for (const name of ['thief', 'thief-on-server']) {
      await until(`people are told of ${name}`, () => toldOfBackoff(name))
    }
    // The real one's are as slow at times.
    const same = async (): Promise<boolean> =>
      JSON.stringify(await pullStory('thief')) === JSON.stringify(await pullStory('thief-on-server'))
    await until('both are told alike', same, 20_000).catch(() => undefined)
    expect(await pullStory('thief')).toEqual(await pullStory('thief-on-server'))
  })

  test('who must not pull is not even told that it is there', async () => {
    const { until } = told.current
    await create('never', { imagePullPolicy: 'Never' })
    await until('it waits', () => waitingReason('never') === 'ErrImageNeverPull')
    expect(waitingMessage('never')).toBe(
      `Container image "${image}" is not present with pull policy of Never`,
    )
  })

  test('who shows the login gets it without the registry, also after a restart of Spillway', async () => {
    const { until, pod } = told.current
    await registry.kill()
    try {
      await create('known', pullWith('right'))
      await until('it is ready', () => isReady(pod('known')))
      await until('it is told of', async () => (await messagesOf('known', 'Pulled')).length > 0)
      await restartSpillway()
      await create('remembered', pullWith('old-kind'))
      await until('it is ready', () => isReady(pod('remembered')))
      await create('stranger', pullWith('wrong'))
      await until('the stranger is not let in', () => waitingReason('stranger') === 'ErrImagePull')
    } finally {
      await registry.start()
    }
    for (const name of ['known', 'remembered']) {
      await until(`${name} is told of`, async () => (await messagesOf(name, 'Pulled')).length > 0)
      expect(await messagesOf(name, 'Pulled')).toEqual([
        `Container image "${image}" already present on machine and can be accessed by the pod`,
      ])
    }
  })
})

type Placed = Partial<PodSpec> & { readonly imagePullPolicy?: string }

const always = { imagePullPolicy: 'Always' }

async function create(name: string, { imagePullPolicy, ...spec }: Placed): Promise<void> {
  const { api, signal } = told.current
  const pod = scriptPod({ namespace, name }, 'exec sleep 3600', { ...outByHand, ...spec })
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  const containers = (pod.spec?.containers ?? []).map((main) => ({
    ...main,
    image,
    resources,
    imagePullPolicy: imagePullPolicy ?? 'IfNotPresent',
  }))
  await api.create(pods, { ...pod, spec: { ...pod.spec, containers } }, signal)
}

function pullWith(secret: string): Partial<PodSpec> {
  return { imagePullSecrets: [{ name: secret }] }
}

type Logins = Readonly<Record<string, object>>

function configJson(name: string, auths: Logins): Secret {
  const data = { '.dockerconfigjson': encode(JSON.stringify({ auths })) }
  return { metadata: { namespace, name }, type: 'kubernetes.io/dockerconfigjson', data }
}

function dockercfg(name: string, logins: Logins): Secret {
  const data = { '.dockercfg': encode(JSON.stringify(logins)) }
  return { metadata: { namespace, name }, type: 'kubernetes.io/dockercfg', data }
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64')
}

async function restartSpillway(): Promise<void> {
  const { running, signal, until, admin } = told.current
  await running.killComponent('spillway', signal)
  await running.startComponent('spillway', signal)
  const isUp = async (): Promise<boolean> => {
    try {
      return ((await admin('/v1/status')) as StatusView).nodes.every(({ ready }) => ready)
    } catch {
      return false
    }
  }
  await until('Spillway is up again', isUp)
}
