import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { despiteDeafShims } from '../../../../src/backends/cri/pod/deaf-shims.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import { settled } from '../../../support/fake-clock.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
const graceMs = 30_000
const sandboxId = `sandbox-of-${process.pid}`
const timeout = new SpillwayError('Unavailable', 'Kill', { cause: { code: 4, details: 'Deadline exceeded' } })
const processes: ChildProcess[] = []
let pod: OnePod
let shim: ChildProcess
let inPod: ChildProcess
/** Why each call of this beginning fails. */
let failures: Readonly<Record<string, Error>>

beforeEach(async () => {
  pod = await OnePod.open()
  await pod.put(sandbox(0, { id: sandboxId }), { ...containerNamed('main'), sandboxId })
  shim = await start('shim', '-namespace', 'k8s.io', '-id', sandboxId)
  inPod = await start('in-the-pod')
  const cgroup = join(pod.stateDir, 'cgroup', pod.handle.tools.cgroups.pathOf(pod.handle.ref.uid))
  await mkdir(cgroup, { recursive: true })
  await writeFile(join(cgroup, 'cgroup.procs'), `${inPod.pid}\n`)
  failures = {}
  pod.runtime.before = (call) => {
    const found = Object.entries(failures).find(([begin]) => call.startsWith(begin))
    return found && Promise.reject(found[1])
  }
})

afterEach(async () => {
  for (const process of processes.splice(0)) process.kill('SIGKILL')
  await pod.close()
})

async function start(...words: readonly string[]): Promise<ChildProcess> {
  const process = spawn('sh', ['-c', 'echo up; read nothing', ...words])
  processes.push(process)
  await once(process.stdout, 'data')
  return process
}

function ending() {
  return { ...pod.handle, deadlineMs: pod.clock.wallMs() + graceMs }
}

/** Something that waits for what a shim never tells. */
function waits(): { readonly over: Promise<void>; readonly end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { over: despiteDeafShims(ending(), () => promise, signal), end: resolve }
}

const failing = async (): Promise<void> => await Promise.reject(new Error('failed to get task'))
const kills = (): readonly string[] => pod.runtime.calls.filter((call) => call.startsWith('signal'))

describe('a shim that does not carry out a SIGKILL', () => {
  it('is killed fifteen seconds after the grace, after what it should have killed, and told of', async () => {
    failures = { 'signal 9 to task of main': timeout }
    const ends = Promise.all([once(shim, 'exit'), once(inPod, 'exit')])
    const { over, end } = waits()
    await pod.clock.advance(graceMs + 14_999)
    await settled()
    expect(kills()).toEqual([])
    await pod.clock.advance(1)
    expect(await ends).toEqual([
      [null, 'SIGKILL'],
      [null, 'SIGKILL'],
    ])
    expect(kills()).toEqual([`signal 9 to task of ${sandboxId}`, 'signal 9 to task of main-0'])
    expect(pod.told).toEqual([
      {
        type: 'Warning',
        reason: 'FailedKillPod',
        message: `error killing pod: the runtime's shim (process ${shim.pid}) does not answer, and is killed`,
      },
    ])
    end()
    await over
  })

  it('is killed, too, where containerd itself has given up asking it, again and again', async () => {
    failures = { 'signal 9 to task of': timeout }
    const input = ending()
    await expect(despiteDeafShims(input, failing, signal)).rejects.toThrow('failed to get task')
    expect(kills()).toEqual([])
    await pod.clock.advance(graceMs + 15_000)
    const killed = once(shim, 'exit')
    await expect(despiteDeafShims(input, failing, signal)).rejects.toThrow('failed to get task')
    expect(await killed).toEqual([null, 'SIGKILL'])
  })

  it('is looked for again for as long as the end goes on, and no longer', async () => {
    const { over, end } = waits()
    await pod.clock.advance(graceMs + 15_000)
    await settled()
    expect(kills()).toHaveLength(2)
    failures = { 'signal 9 to task of': timeout }
    const killed = once(shim, 'exit')
    await pod.clock.advance(15_000)
    await killed
    const { length } = kills()
    end()
    await over
    await pod.clock.advance(60_000)
    await settled()
    expect(kills()).toHaveLength(length)
  })
})

describe('a shim is left alone', () => {
  async function afterTheGrace(): Promise<void> {
    const input = ending()
    await pod.clock.advance(graceMs + 15_000)
    // Whose failure comes after the look.
    await expect(despiteDeafShims(input, failing, signal)).rejects.toThrow('failed to get task')
    expect(kills()).not.toEqual([])
    expect(pod.told).toEqual([])
    expect([shim.exitCode ?? shim.signalCode, inPod.exitCode ?? inPod.signalCode]).toEqual([null, null])
  }

  it('that takes the SIGKILL: what it ends may take its time', async () => {
    await afterTheGrace()
  })

  it('that says no: what was to be killed has ended', async () => {
    failures = { 'signal 9 to task of': new SpillwayError('NotFound', 'Kill', { cause: { code: 5 } }) }
    await afterTheGrace()
  })

  it('whose containerd is away', async () => {
    failures = { 'signal 9 to task of': new SpillwayError('Unavailable', 'Kill', { cause: { code: 14 } }) }
    await afterTheGrace()
  })

  it('whose containerd does not answer by itself either', async () => {
    failures = { 'signal 9 to task of': timeout }
    pod.runtime.version = () => Promise.reject(timeout)
    await afterTheGrace()
  })

  it('of a Pod that ends in its time', async () => {
    const { over, end } = waits()
    await pod.clock.advance(graceMs)
    end()
    await over
    await pod.clock.advance(60_000)
    expect(kills()).toEqual([])
  })
})
