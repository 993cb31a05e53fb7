/**
 * What hostile Pods do to whoever runs them, on runc and on gVisor: each is contained and told of, its neighbour answers all
 * the while, the nodes stay Ready, and nothing of it stays. `npm run security` does one after the other and prints a table.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { abuses, type Abuse } from '../support/abuses.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-abuse'
const told = story(namespace)
const oneByOne = process.env['SPILLWAY_ABUSE_ONE_BY_ONE'] === '1'
// Of the neighbour. While a Pod is there, its logs are cut down every ten seconds, as by kubelet: a flood of less time stays whole.
const fewLogBytes = 1 << 20
const table: string[] = []

const watched: { witness?: CriWitness } = {}
beforeAll(async () => {
  const { api, cluster, signal, until, pod } = told.current
  watched.witness = new CriWitness(cluster.virtualContainerd.socket)
  const [main] = scriptPod({ namespace, name: 'neighbour' }, '').spec?.containers ?? []
  const answering = {
    ...main,
    name: 'main',
    image: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
    command: ['/agnhost', 'netexec', '--http-port=8080'],
    readinessProbe: { httpGet: { path: '/healthz', port: 8080 } },
  }
  await api.create(
    pods,
    scriptPod({ namespace, name: 'neighbour' }, '', { ...outByHand, containers: [answering] }),
    signal,
  )
  await until('the neighbour is ready', () => isReady(pod('neighbour')))
})
afterAll(async () => {
  await watched.witness?.close()
  if (oneByOne) process.stdout.write(`${table.join('\n')}\n`)
})

describe.each(['runc', 'gvisor'] as const)('on %s', (handler) => {
  const groups = oneByOne ? abuses.map((abuse) => [abuse]) : [abuses]
  test.each(groups.map((group) => ({ what: group.map(({ name }) => name).join(', '), group })))(
    'contains $what',
    { timeout: 400_000 },
    async ({ group }) => {
      const { until, signal } = told.current
      const quiet = await neighbourMs()
      for (const abuse of group) await begin(abuse, handler)
      const busy: number[] = []
      for (const abuse of group) {
        const name = nameOf(abuse, handler)
        await until(
          `${name} is over`,
          async () => {
            busy.push(await neighbourMs())
            return abuse.contained.test(await sayings(name))
          },
          200_000,
        )
        const said = await sayings(name)
        expect({ name, let: said.match(/LET .*/g) }).toEqual({ name, let: null })
        table.push(rowOf(abuse, { handler, said, quiet, busy }))
      }
      if (oneByOne) table.push(`logs: ${(await logBytes()) >> 20} MiB`)
      const { items } = await told.current.api.list(nodes, {}, signal)
      for (const { metadata, status } of items) {
        const ready = status?.conditions?.find(({ type }) => type === 'Ready')
        expect({ node: metadata?.name, ready: ready?.status }).toEqual({
          node: metadata?.name,
          ready: 'True',
        })
      }
      await remove(group.map((abuse) => nameOf(abuse, handler)))
    },
  )
})

test('its neighbour was there all the time', () => {
  const neighbour = told.current.pod('neighbour')
  expect(isReady(neighbour)).toBe(true)
  expect(neighbour?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
})

function nameOf({ name }: Abuse, handler: string): string {
  return `${name}-${handler}`
}

async function begin({ script, spec, mounts = [], ...abuse }: Abuse, handler: string): Promise<void> {
  const { api, signal } = told.current
  const at = { namespace, name: nameOf({ script, ...abuse }, handler) }
  const [main] = scriptPod(at, script).spec?.containers ?? []
  const limits = { cpu: '500m', memory: '128Mi', 'ephemeral-storage': '64Mi' }
  const requests = { cpu: '10m', memory: '16Mi' }
  const container = { ...main, name: 'main', resources: { limits, requests }, volumeMounts: [...mounts] }
  const whole: Partial<PodSpec> = {
    ...outByHand,
    ...spec,
    containers: [container],
    ...(handler === 'gvisor' && { runtimeClassName: 'gvisor' }),
  }
  await api.create(pods, scriptPod(at, script, whole), signal)
}

/** Milliseconds until the neighbour answers, by way of the API server. */
async function neighbourMs(): Promise<number> {
  const { api, signal } = told.current
  const began = performance.now()
  await api.getText(`/api/v1/namespaces/${namespace}/pods/neighbour:8080/proxy/healthz`, signal)
  return performance.now() - began
}

/** All that is told about a Pod: status, events, log. */
async function sayings(name: string): Promise<string> {
  const { api, kubectl, pod, signal } = told.current
  const { items } = await api.list(
    events,
    { namespace, fieldSelector: `involvedObject.name=${name}` },
    signal,
  )
  const { status } = pod(name) ?? {}
  const ends = (status?.containerStatuses ?? []).flatMap(({ state, lastState }) => [
    state?.terminated,
    lastState?.terminated,
  ])
  const isOver = ['Succeeded', 'Failed'].includes(status?.phase ?? '')
  const log = isOver ? await kubectl('logs', name, '--tail=40').catch(() => ({ stdout: '' })) : { stdout: '' }
  return [
    `${status?.reason}: ${status?.message}`,
    ...ends.map((end) => `${end?.reason} ${end?.exitCode}`),
    ...items.map(({ reason, message }) => `${reason}: ${message}`),
    log.stdout,
  ].join('\n')
}

function rowOf(
  abuse: Abuse,
  { handler, said, quiet, busy }: { handler: string; said: string; quiet: number; busy: readonly number[] },
): string {
  const median = busy.toSorted((a, b) => a - b)[Math.floor(busy.length / 2)] ?? 0
  const how = said.match(abuse.contained)?.[0] ?? ''
  return `| ${abuse.name} | ${handler} | ${how} | ${quiet.toFixed(0)} → ${median.toFixed(0)} ms |`
}

/** Of all logs that Spillway keeps for this namespace. */
async function logBytes(): Promise<number> {
  const root = join(told.current.cluster.spillwayDir, 'pods')
  const files = await readdir(root, { recursive: true, withFileTypes: true })
  const sizes = files
    .filter((file) => file.isFile() && /\.log(\.|$)/.test(file.name) && file.parentPath.includes(namespace))
    .map(async (file) => (await stat(join(file.parentPath, file.name)).catch(() => ({ size: 0 }))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

async function remove(names: readonly string[]): Promise<void> {
  const { api, until, pod, signal } = told.current
  for (const name of names) await api.delete(pods, { namespace, name }, {}, signal)
  await until('they are gone', () => names.every((name) => pod(name) === undefined), 120_000)
  const left = async (): Promise<readonly string[]> => (await watched.witness?.present(namespace)) ?? []
  await until('their logs are gone', async () => (await logBytes()) < fewLogBytes)
  await until('containerd has the neighbour alone', async () => (await left()).length <= 1, 150_000)
}
