import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { postStart } from '../../../../src/backends/cri/hooks/post-start.ts'
import { AttemptNotes, type AttemptNote } from '../../../../src/backends/cri/pod/attempt-notes.ts'
import { criError } from '../../../../src/backends/cri/runtime/errors.ts'
import type { Container } from '../../../../src/model/kubernetes.ts'
import { containerOf } from '../fake-sources.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { createdAtMs, sandbox } from '../seen.ts'

const never = new AbortController().signal
const command = { exec: { command: ['register', '--secret'] } }
const seen = containerNamed('main', 2)
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
  await pod.put(sandbox(), seen)
})

afterEach(async () => await pod.close())

interface How {
  readonly signal?: AbortSignal
  readonly lifecycle?: Container['lifecycle']
  readonly notes?: AttemptNotes
}

function carryOut({ signal = never, lifecycle = { postStart: command }, notes }: How = {}): Promise<void> {
  const plan = { name: 'main', kind: 'main', image: '' } as const
  const planned = { container: containerOf({ name: 'main', lifecycle }), plan }
  return postStart({ ...pod.handle, ...(notes && { notes }), planned, seen, podIp: '10.0.0.7' }, signal)
}

function exits(exitCode: number): void {
  pod.runtime.exec = async () => ({ exitCode, stdout: Buffer.from('said'), stderr: Buffer.alloc(0) })
}

/** For this process, and for the next. */
async function noted(): Promise<AttemptNote> {
  const next = await pod.afterCrash()
  next.handle.tools.shell.close()
  expect(next.handle.notes.of('main', 2)).toEqual(pod.handle.notes.of('main', 2))
  return pod.handle.notes.of('main', 2)
}

describe('a postStart hook', () => {
  it('that was carried out is noted as done, durably, and is no news', async () => {
    exits(0)
    await carryOut()
    expect(pod.runtime.calls).toEqual(['exec main: register --secret'])
    expect(await noted()).toEqual({ postStart: 'done' })
    expect(pod.told).toEqual([])
  })

  it('that failed is noted with its sentence, which neither the event nor our log shows', async () => {
    exits(1)
    await carryOut()
    expect(pod.logged).toEqual([expect.stringContaining('a postStart hook has failed')])
    expect(pod.logged[0]).not.toMatch(/said|--secret/)
    expect(await noted()).toEqual({
      postStart: { failure: expect.stringMatching(/^Exec lifecycle hook .* exited with 1: said/) as string },
    })
    expect(pod.told).toEqual([
      {
        type: 'Warning',
        reason: 'FailedPostStartHook',
        message: 'PostStartHook failed',
        fieldPath: 'spec.containers{main}',
      },
    ])
  })

  it('that the runtime left in the middle is to be carried out again, and no failure', async () => {
    const gone = criError('ExecSync', Object.assign(new Error('gone'), { code: status.UNAVAILABLE }))
    pod.runtime.exec = () => Promise.reject(gone)
    await expect(carryOut()).rejects.toBe(gone)
    expect(await noted()).toEqual({})
    expect(pod.told).toEqual([])
    exits(0)
    await carryOut()
    expect(await noted()).toEqual({ postStart: 'done' })
  })

  it('that was broken off is to be carried out again, and no failure', async () => {
    const stop = new AbortController()
    const reason = new Error('closing')
    pod.runtime.exec = async () => {
      stop.abort(reason)
      throw new Error('cancelled')
    }
    await expect(carryOut({ signal: stop.signal })).rejects.toBe(reason)
    expect(await noted()).toEqual({})
    expect(pod.told).toEqual([])
  })

  it('that sleeps does so from the start of its container: a crash does not prolong it', async () => {
    const startedAtMs = createdAtMs + 1000
    await pod.clock.advance(startedAtMs + 4000 - pod.clock.wallMs())
    const over = carryOut({ lifecycle: { postStart: { sleep: { seconds: 10 } } } })
    await pod.clock.whenPending(1)
    expect(pod.clock.nextDueInMs).toBe(6000)
    await pod.clock.advance(6000)
    await over
    expect(await noted()).toEqual({ postStart: 'done' })
  })

  it('is none of a container without one', async () => {
    await carryOut({ lifecycle: {} })
    expect(pod.runtime.calls).toEqual([])
    expect(await noted()).toEqual({})
  })

  it('that was carried out has not failed because the disk was full when that was to be noted', async () => {
    exits(0)
    const makeRoom = await fillDiskAt(join(pod.handle.paths.podDir, 'containers', 'main', '2.json.new'))
    const notes = new RoomAfterFirst(pod.handle.paths.podDir, makeRoom)
    await expect(carryOut({ notes })).rejects.toThrow('ENOSPC')
    expect(notes.of('main', 2)).toEqual({})
    expect(pod.told).toEqual([])
    await carryOut({ notes })
    expect(notes.of('main', 2)).toEqual({ postStart: 'done' })
  })
})

/** There is room on the disk again once a note has failed for want of it. */
class RoomAfterFirst extends AttemptNotes {
  readonly #makeRoom: () => Promise<void>

  constructor(podDir: string, makeRoom: () => Promise<void>) {
    super(podDir)
    this.#makeRoom = makeRoom
  }

  override async note(name: string, attempt: number, more: AttemptNote): Promise<void> {
    try {
      await super.note(name, attempt, more)
    } finally {
      await this.#makeRoom()
    }
  }
}
