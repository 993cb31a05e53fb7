import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import type { ComponentRecord } from '../../src/dev-cluster/cluster-file.ts'
import { configMaps, pods, secrets } from '../../src/kube/resources.ts'
import { allThatIsTold } from '../support/all-that-is-told.ts'
import { startLoginRegistry, type LoginRegistry } from '../support/login-registry.ts'
import { planted, plantedPods, plantedSecrets, setting } from '../support/planted-pods.ts'
import { formsOf, plant, plantedIn, type Planted } from '../support/planted.ts'
import { runSpillway } from '../support/run-spillway.ts'
import { searchFiles, type FoundFile } from '../support/search-files.ts'
import { holderOf, holders, misplaced } from '../support/secret-holders.ts'
import { killSpillway, startSpillway } from '../support/spillway-process.ts'
import { isReady, story } from '../support/story.ts'

const namespace = 'story-planted-secrets'
const told = story(namespace)
/** What is looked for: what was planted, and what is there by itself. */
const wanted: Planted[] = Object.values(planted)
const launched: { before?: ComponentRecord | undefined } = {}
let registry: LoginRegistry

beforeAll(async () => {
  const { api, signal, until } = told.current
  await relaunch({ SPILLWAY_LOG_LEVEL: 'debug', TMPDIR: await ownFolder() })
  registry = await startLoginRegistry(told.current)
  wanted.push({ name: 'password of a registry', value: registry.password })
  const constant = {
    metadata: { namespace, name: 'setting' },
    data: { word: setting.value },
    immutable: true,
  }
  await api.create(configMaps, constant, signal)
  for (const secret of plantedSecrets(namespace, registry)) await api.create(secrets, secret, signal)
  const image = `${registry.host}/library/busybox:1.37`
  for (const pod of plantedPods(namespace, image)) await api.create(pods, pod, signal)
  await until('all have come as far as they get', () => Object.values(ends).every((isThere) => isThere()))
  await live()
  await learnKeys()
})

afterAll(async () => {
  await relaunch({})
  await registry?.kill()
  await rm(await ownFolder(), { recursive: true })
})

describe('while Pods run that were given secrets in every way', () => {
  test('nothing that Spillway tells holds one', async () => {
    const all = await allThatIsTold(told.current, ['life', 'hook', 'refused'])
    const found = [...all].map(([place, text]) => [place, plantedIn(text, wanted)] as const)
    expect(found.filter(([, names]) => names.length > 0)).toEqual([])
    expect(all.get('events of Pods')).toMatch(/Unhealthy.*FailedPostStartHook|FailedPostStartHook.*Unhealthy/)
  })

  test('no file holds one but those that have to, which are in memory or their owner’s alone', async () => {
    const found = await search(wanted)
    expect(await misplaced(told.current, found)).toEqual([])
    const holding = new Set(found.map(({ path }) => holderOf(told.current, path)?.what))
    expect(holding).toEqual(new Set(holders.map(({ what }) => what)))
  })
})

test('when the Pods are gone, so is what held their secrets', async () => {
  const { api, signal, until, cluster, pods: list } = told.current
  const uids = list().map(({ metadata }) => metadata?.uid ?? '')
  for (const { metadata } of list()) {
    await api.delete(pods, { namespace, name: metadata?.name ?? '' }, { graceSeconds: 1 }, signal)
  }
  await until('they are gone, and their folders', async () => {
    const left = await readdir(join(cluster.spillwayDir, 'pods/pods'))
    return list().length === 0 && !uids.some((uid) => left.includes(uid))
  })
  const found = await search(wanted)
  expect(await misplaced(told.current, found)).toEqual([])
  expect(found.filter(({ path }) => holderOf(told.current, path)?.goes)).toEqual([])
})

test('what is no secret, and a secret that is left about in any form, is found by the same search', async () => {
  const lost = plant('left about')
  const folder = await ownFolder()
  const files = formsOf(lost.value).map((form, index) => [join(folder, String(index)), form] as const)
  for (const [file, form] of files) await writeFile(file, `before\n\0 after ${form}x`)
  const found = await search([lost, setting])
  const holding = ({ name }: Planted) => found.filter(({ secrets: names }) => names.includes(name))
  expect(
    holding(lost)
      .map(({ path }) => path)
      .sort(),
  ).toEqual(files.map(([file]) => file).sort())
  expect(await misplaced(told.current, holding(lost))).toHaveLength(files.length)
  expect(holding(setting).some(({ path }) => holderOf(told.current, path)?.guard === 'isShut')).toBe(true)
})

test('what is wrong with a ledger’s place or a kubeconfig is said without what may be secret in it', async () => {
  const secret = plant('password')
  const folder = await ownFolder()
  const [config, kubeconfig] = [join(folder, 'spillway.yaml'), join(folder, 'kubeconfig')]
  const url = `postgresql://spillway:${secret.value}@127.0.0.1:1/ledger`
  const ours = parse(await readFile(join(told.current.cluster.stateDir, 'spillway.yaml'), 'utf8')) as object
  await writeFile(config, stringify({ ...ours, ledger: { postgres: { url } } }))
  await writeFile(kubeconfig, `users:\n- user: {token: "${secret.value}" rest}\n`)
  const answers = await Promise.all([
    runSpillway('--config', config, 'run'),
    runSpillway('bill', '--ledger', url),
    runSpillway('--kubeconfig', kubeconfig, 'pool', 'list'),
  ])
  for (const { code, stdout, stderr } of answers) {
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/holds a password|not YAML/)
    expect(plantedIn(`${stdout}${stderr}`, [secret])).toEqual([])
  }
})

const main = (name: string) => told.current.pod(name)?.status?.containerStatuses?.[0]
const waits = (name: string) => main(name)?.state?.waiting?.reason
const ended = (name: string) => (main(name)?.state?.terminated ?? main(name)?.lastState?.terminated)?.reason

/** By Pod: as far as it gets. */
const ends: Readonly<Record<string, () => boolean>> = {
  life: () => isReady(told.current.pod('life')),
  probed: () => main('probed')?.state?.running !== undefined,
  dying: () => ended('dying') !== undefined,
  hook: () => ended('hook') !== undefined,
  keyless: () => waits('keyless') === 'CreateContainerConfigError',
  programless: () => ended('programless') === 'StartError',
  greedy: () => ended('greedy') === 'OOMKilled',
  pulled: () => isReady(told.current.pod('pulled')),
  refused: () => waits('refused') === 'ImagePullBackOff',
}

/** Exec, a restart, a resize, logs; then containerd and Spillway are killed. */
async function live(): Promise<void> {
  const { kubectl, running, signal, until, pod } = told.current
  const inLife = (...command: readonly string[]) => kubectl('exec', 'life', '--', ...command)
  const isBack = (restarts: number) => main('life')?.restartCount === restarts && isReady(pod('life'))
  const { value } = planted.execArgument
  expect(await inLife('sh', '-c', 'test "$0" = "$1"', value, value)).toMatchObject({ code: 0 })
  expect((await inLife('/no/such/program', value)).code).not.toBe(0)
  await inLife('touch', '/tmp/end')
  await until('its container runs again', () => isBack(1))
  const containers = [{ name: 'main', resources: { requests: { memory: '32Mi' } } }]
  const patch = JSON.stringify({ spec: { containers } })
  await kubectl('patch', 'pod', 'life', '--subresource=resize', '-p', patch)
  await until('it is resized, and its container runs again', () => isBack(2))
  expect((await kubectl('logs', 'life')).stdout).toContain(setting.value)
  await running.killComponent('containerd-virtual', signal)
  await running.startComponent('containerd-virtual', signal)
  await killSpillway(told.current)
  await startSpillway(told.current)
  const token = '/var/run/secrets/kubernetes.io/serviceaccount/token'
  await until('its token can be read', async () => {
    const [, , signature = ''] = (await inLife('cat', token)).stdout.trim().split('.')
    if (signature !== '') wanted.push({ name: 'token of a Pod', value: signature })
    return signature !== ''
  })
}

/** Spillway's own, and its nodes'. */
async function learnKeys(): Promise<void> {
  const { pkiDir, spillwayDir } = told.current.cluster
  const files = [
    join(pkiDir, 'spillway.key'),
    join(spillwayDir, 'pki/burst-0-client.pem'),
    join(spillwayDir, 'pki/burst-0-serving.pem'),
  ]
  for (const file of files) {
    const [, body = ''] = /BEGIN (?:EC )?PRIVATE KEY-----\n([^-]+)/.exec(await readFile(file, 'utf8')) ?? []
    const [, line = ''] = body.split('\n')
    expect(line.length, file).toBeGreaterThan(40)
    wanted.push({ name: `key in ${file}`, value: line })
  }
}

async function search(sought: readonly Planted[]): Promise<FoundFile[]> {
  const { stateDir, runDir, virtualContainerd } = told.current.cluster
  // Of a runtime such as gVisor, too, which has its state beside containerd's.
  const inMemory = dirname(virtualContainerd.stateDir)
  return await searchFiles(told.current, [stateDir, runDir, inMemory], sought)
}

/** In the cluster's folder: searched like all of it. */
async function ownFolder(): Promise<string> {
  const folder = join(told.current.cluster.stateDir, namespace)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return folder
}

/** Spillway with more in its environment than it was started with. */
async function relaunch(more: Readonly<Record<string, string>>): Promise<void> {
  const { running, signal } = told.current
  const record = (launched.before ??= running.file.components['spillway'])
  if (!record) throw new Error('Spillway was never started')
  const { process: _process, program, ...component } = record
  await killSpillway(told.current)
  const environment = { ...program.environment, ...more }
  await running.launch('spillway', { ...component, program: { ...program, environment } }, signal)
  await startSpillway(told.current)
}
