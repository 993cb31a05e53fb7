import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { preStop } from '../../../../src/backends/cri/hooks/pre-stop.ts'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import type { SeenContainer } from '../../../../src/backends/cri/pod/observe.ts'
import { criError } from '../../../../src/backends/cri/runtime/errors.ts'
import type { Container } from '../../../../src/model/kubernetes.ts'
import { startHttpServer } from '../../../support/http-server.ts'
import { containerOf } from '../fake-sources.ts'
import { fillDiskAt } from '../full-disk.ts'
import { containerNamed, OnePod } from '../one-pod.ts'

const never = new AbortController().signal
const drain = { exec: { command: ['drain', '--all'] } }
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
  exits(0)
})

afterEach(async () => await pod.close())

function exits(exitCode: number): void {
  pod.runtime.exec = async () => ({ exitCode, stdout: Buffer.from('said'), stderr: Buffer.alloc(0) })
}

/** A running container whose hook only its own marks tell. */
async function running(
  hook?: NonNullable<Container['lifecycle']>['preStop'],
  more: Partial<Container> = {},
): Promise<SeenContainer> {
  const container = containerOf({ name: 'main', ...more, ...(hook && { lifecycle: { preStop: hook } }) })
  const marks = { generation: 1, container, backoffMs: 0, podIp: '127.0.0.1', given: {} }
  const seen = containerNamed('main', 2, { annotations: containerMarks(marks) })
  await pod.put(seen)
  return seen
}

function noted(of = pod) {
  return of.handle.notes.of('main', 2)
}

describe('a preStop hook', () => {
  it('is begun once that is noted, done when it was carried out, and never carried out again', async () => {
    const seen = await running(drain)
    const beganAtMs = pod.clock.wallMs()
    pod.runtime.before = async () => {
      expect(noted()).toEqual({ preStopBeganAtMs: beganAtMs })
    }
    await preStop(pod.handle, seen, never)
    expect(noted()).toEqual({ preStopBeganAtMs: beganAtMs, preStopDone: true })
    const next = await pod.afterCrash()
    await preStop(next.handle, seen, never)
    expect(pod.runtime.calls).toEqual(['exec main: drain --all'])
    expect(pod.told).toEqual([])
    next.handle.tools.shell.close()
  })

  it('is asked for at the address and the port that the container was made with', async () => {
    await using server = await startHttpServer((_request, response) => void response.end())
    const ports = [{ name: 'admin', containerPort: server.port }]
    await preStop(pod.handle, await running({ httpGet: { port: 'admin', path: '/drain' } }, { ports }), never)
    expect(server.seen).toMatchObject([{ url: '/drain' }])
  })

  it('that failed keeps nobody from ending the container, and neither its event nor our log shows why', async () => {
    exits(1)
    await preStop(pod.handle, await running(drain), never)
    expect(pod.logged).toEqual([expect.stringContaining('a preStop hook has failed')])
    expect(pod.logged[0]).not.toMatch(/said|--all/)
    expect(noted()).toMatchObject({ preStopDone: true })
    expect(pod.told).toEqual([
      {
        type: 'Warning',
        reason: 'FailedPreStopHook',
        message: 'PreStopHook failed',
        fieldPath: 'spec.containers{main}',
      },
    ])
  })

  it('that a crash broke off is carried out again, by whoever comes next', async () => {
    const seen = await running(drain)
    const crash = new AbortController()
    pod.runtime.exec = async () => {
      crash.abort(new Error('closing'))
      throw new Error('cancelled')
    }
    await preStop(pod.handle, seen, crash.signal)
    expect(pod.told).toEqual([])
    exits(0)
    const next = await pod.afterCrash()
    expect(noted(next)).not.toHaveProperty('preStopDone')
    await preStop(next.handle, seen, never)
    expect(noted(next)).toMatchObject({ preStopDone: true })
    expect(pod.runtime.calls).toHaveLength(2)
    next.handle.tools.shell.close()
  })

  it('that sleeps does so from its beginning, however often it is broken off', async () => {
    const seen = await running({ sleep: { seconds: 10 } })
    const crash = new AbortController()
    const broken = preStop(pod.handle, seen, crash.signal)
    await pod.clock.whenPending(1)
    await pod.clock.advance(4000)
    crash.abort(new Error('closing'))
    await broken
    const next = await pod.afterCrash()
    await pod.clock.advance(1000)
    const over = preStop(next.handle, seen, never)
    await pod.clock.whenPending(1)
    expect(pod.clock.nextDueInMs).toBe(5000)
    await pod.clock.advance(5000)
    await over
    next.handle.tools.shell.close()
  })

  it('is none of a container without one', async () => {
    await preStop(pod.handle, await running(), never)
    expect(pod.runtime.calls).toEqual([])
    expect(noted()).toEqual({})
  })

  it('is carried out on a full disk too: who fills it must not be saved by that', async () => {
    const seen = await running(drain)
    await fillDiskAt(join(pod.handle.paths.podDir, 'containers', 'main', '2.json.new'))
    await preStop(pod.handle, seen, never)
    expect(pod.runtime.calls).toEqual(['exec main: drain --all'])
    expect(pod.told).toEqual([])
  })

  it('that the runtime left in the middle is carried out again, and no failure', async () => {
    const seen = await running(drain)
    const gone = criError('ExecSync', Object.assign(new Error('gone'), { code: status.UNAVAILABLE }))
    pod.runtime.exec = () => Promise.reject(gone)
    await expect(preStop(pod.handle, seen, never)).rejects.toBe(gone)
    expect(pod.told).toEqual([])
    exits(0)
    await preStop(pod.handle, seen, never)
    expect(pod.runtime.calls).toHaveLength(2)
    expect(noted()).toMatchObject({ preStopDone: true })
  })
})
