import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { clusterLayout } from '../../src/dev-cluster/cluster-layout.ts'
import {
  canBeEntered,
  createNamespace,
  endNamespaces,
  type ClusterNamespace,
} from '../../src/dev-cluster/namespace.ts'
import {
  isRunning,
  signalProcess,
  startProcess,
  stopProcess,
  type ProcessRecord,
} from '../../src/dev-cluster/process.ts'
import { listProcesses } from '../../src/dev-cluster/process-table.ts'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import { systemClock as clock } from '../../src/model/clock.ts'

const never = new AbortController().signal
const name = `e2e-namespace-${process.pid}`

let dir: string
let namespace: ClusterNamespace

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-namespace-'))
  const layout = { ...clusterLayout(name, 1), logsDir: join(dir, 'logs') }
  await mkdir(layout.logsDir)
  namespace = await createNamespace(layout, { command: { environment: process.env }, clock }, never)
})

afterEach(async () => {
  await endNamespaces({ name, known: namespace }, clock, never)
  await rm(dir, { recursive: true })
})

/**
 * Somebody outside with a child inside, who does not collect it. The kernel does not let the first process of a PID
 * namespace go before everything in it is collected.
 */
async function enterAndNotCollect(): Promise<ProcessRecord> {
  const outside = await startProcess(
    {
      file: 'nsenter',
      args: ['--target', String(namespace.init.pid), '--pid', 'sleep', '600'],
      environment: process.env,
    },
    { logFile: join(dir, 'nsenter.log'), workingDir: '/', diesWithUs: true },
  )
  await waitUntil(
    async () =>
      (await listProcesses()).some(({ parentPid }) => parentPid === outside.pid) ? true : undefined,
    { condition: 'the child is inside', timeoutMs: 10_000, clock },
    never,
  )
  await signalProcess(outside, 'SIGSTOP')
  return outside
}

it('can be entered while it lives', async () => {
  expect(await canBeEntered(namespace)).toBe(true)
})

it('cannot be entered any more while it is still dying, and is gone when it was ended', async () => {
  const outside = await enterAndNotCollect()
  await signalProcess(namespace.init, 'SIGKILL')
  await waitUntil(
    async () => ((await canBeEntered(namespace)) ? undefined : true),
    { condition: 'it cannot be entered', timeoutMs: 10_000, clock },
    never,
  )
  expect(await isRunning(namespace.init)).toBe(true)
  const ended = endNamespaces({ name, known: namespace }, clock, never)
  await stopProcess(outside, { graceMs: 0, clock }, never)
  await ended
  expect(await isRunning(namespace.init)).toBe(false)
  expect(await canBeEntered(namespace)).toBe(false)
})
