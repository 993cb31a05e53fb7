import { globSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExplainedPod } from '../../src/billing/bill-explanation.ts'
import type { Bill } from '../../src/billing/invoice.ts'
import { batchJob, jobs } from '../../src/cli/demo/manifests.ts'
import { podTraces } from '../../src/cli/demo/pod-traces.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { CriWitness } from '../support/cri-witness.ts'
import { story } from '../support/story.ts'

const namespace = 'story-batch-job'
const told = story(namespace)
const watched: { witness?: CriWitness } = {}

beforeAll(() => {
  watched.witness = new CriWitness(told.current.cluster.virtualContainerd.socket)
})
afterAll(async () => await watched.witness?.close())

describe('a Job that is sent out by hand', () => {
  test('gives everything back within 2 s of its end, stops being billed with it, and keeps its logs', async () => {
    const { api, kubectl, signal, until } = told.current
    await api.create(jobs, batchJob(namespace, 'burst'), signal)
    await until('its Pod runs', () => pod().status?.phase === 'Running')
    // Otherwise what is looked for below could not be found.
    const held = traces(pod())
    for (const kind of ['process', 'mount', 'cgroup', 'address']) {
      expect(held.map((trace) => trace.split(' ')[0])).toContain(kind)
    }
    const network = networkOf(pod())
    expect(networkUsers(network)).not.toEqual([])
    await until('it has succeeded', () => pod().status?.phase === 'Succeeded')
    await until(
      'process, address, mounts, cgroup and network namespace are gone',
      () => traces(pod()).length === 0 && networkUsers(network).length === 0,
      2_000,
    )

    const { containers, sandboxes } = seen()
    expect(containers).toEqual([
      expect.objectContaining({ name: 'report', attempt: 0, state: 'CONTAINER_EXITED' }),
    ])
    await until('the bill is closed', async () => (await billed())?.end !== undefined)
    const { start, end, endKnown } = (await billed()) ?? {}
    expect(start).toBe(rfc3339(sandboxes[0]?.createdMs))
    expect(end).toBe(rfc3339(containers[0]?.finishedMs))
    expect(endKnown).toBe('exact')

    const logs = await kubectl('logs', 'job/report')
    expect(logs.stdout).toBe('line 1 of the report\nline 2 of the report\nline 3 of the report\ndone\n')
  })
})

function pod(): Pod {
  return told.current.pods().find(({ metadata }) => metadata?.labels?.['app'] === 'report') ?? {}
}

function seen() {
  if (!watched.witness) throw new Error('there is no witness')
  return watched.witness.of(pod().metadata?.uid)
}

async function billed(): Promise<ExplainedPod | undefined> {
  const query = { fromMs: '0', toMs: String(Date.now()), by: 'pod' }
  const { pods = [] } = (await told.current.admin('/v1/bill', query)) as Bill
  return pods.find(({ podUid }) => podUid === pod().metadata?.uid)
}

function rfc3339(ms: number | undefined): string {
  return new Date(ms ?? 0).toISOString()
}

function traces({ metadata, status }: Pod): readonly string[] {
  const { cluster, running } = told.current
  return podTraces({
    podUid: metadata?.uid ?? '',
    podIp: status?.podIP,
    namespacePid: running.namespace.init.pid,
    addressDir: cluster.virtualContainerd.cniStateDir,
  })
}

/** As in `net:[4026532000]`: the network namespace of the Pod's processes. */
function networkOf({ metadata }: Pod): string {
  const uid = metadata?.uid ?? 'none'
  const pids = globSync('/proc/[0-9]*/cgroup').filter((path) => readOr(path).includes(uid))
  return readlinkSync((pids[0] ?? '').replace(/cgroup$/, 'ns/net'))
}

/** The processes in it, and the mounts that keep it. */
function networkUsers(network: string): readonly string[] {
  const mounts = readOr(`/proc/${told.current.running.namespace.init.pid}/mountinfo`)
    .split('\n')
    .filter((line) => line.includes(network))
  const processes = readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && linkOr(`/proc/${pid}/ns/net`) === network,
  )
  return [...mounts, ...processes]
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process ended while we looked
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // the process ended while we looked
  }
}
