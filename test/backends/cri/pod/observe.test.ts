import { describe, expect, it } from 'vitest'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import { evidenceOf, observePod, podAddresses } from '../../../../src/backends/cri/pod/observe.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { attempt, createdAtMs, ended, observeInput as input, sandbox } from '../seen.ts'

describe('what is seen of a Pod', () => {
  it('is told with all its facts while it runs', async () => {
    const seen = observePod(input({ view: { sandboxes: [sandbox()], containers: [attempt(0, {})] } }))
    await expect(JSON.stringify(seen, undefined, 2)).toMatchFileSnapshot('golden/running-observation.json')
  })

  it('keeps nanoseconds apart from milliseconds', () => {
    expect(observePod(input()).sandbox?.createdAtMs).toBe(createdAtMs)
  })

  it('takes the incarnation from the latest sandbox', () => {
    const lost = sandbox(0, { state: 'SANDBOX_NOTREADY' })
    const view = { sandboxes: [sandbox(2), lost, sandbox(1)], containers: [] }
    expect(observePod(input({ view }))).toMatchObject({ incarnation: 2, sandbox: { id: 'sandbox-2' } })
  })

  it('takes of two sandboxes with the same number the later, in whatever order they are told', () => {
    const revived = sandbox(0, { id: 'revived', state: 'SANDBOX_NOTREADY', createdAt: '1000000' })
    for (const sandboxes of [
      [revived, sandbox()],
      [sandbox(), revived],
    ]) {
      const seen = observePod(input({ view: { sandboxes, containers: [] } }))
      expect(seen.sandbox).toMatchObject({ id: 'sandbox-0', ready: true })
    }
  })

  it('has no sandbox while the one that there is has not come up', () => {
    // Go's zero time, as containerd tells it.
    const broken = sandbox(1, { state: 'SANDBOX_NOTREADY', createdAt: '-6795364578871345152' })
    const seen = observePod(input({ view: { sandboxes: [sandbox(), broken], containers: [] } }))
    expect(seen).toMatchObject({ incarnation: 1 })
    expect(seen.sandbox).toBeUndefined()
  })

  it('shows a container between two attempts as waiting, with how it ended', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(1, { ...ended, exitCode: 3 }), attempt(0, { ...ended, exitCode: 1 })],
    }
    const waiting = new Map([['main', { reason: 'CrashLoopBackOff', message: 'back-off 20s' }]])
    expect(observePod(input({ view, waiting })).containers[0]).toMatchObject({
      state: { kind: 'waiting', reason: 'CrashLoopBackOff' },
      lastTerminated: { exitCode: 3, reason: 'Error', finishedAtMs: createdAtMs + 3000 },
      restartCount: 1,
      ready: false,
    })
  })

  it('does not count a container that was created and never started', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(0, { state: 'CONTAINER_CREATED', startedAt: '0' })],
    }
    expect(observePod(input({ view }))).toMatchObject({
      phase: 'starting',
      containers: [{ state: { kind: 'waiting', reason: 'ContainerCreating' } }],
    })
  })

  it('does not count a start that was broken off because its caller died, but one that failed', () => {
    const start = { ...ended, startedAt: '0', exitCode: 128, reason: 'StartError' }
    const of = (message: string) =>
      observePod(input({ view: { sandboxes: [sandbox()], containers: [attempt(0, { ...start, message })] } }))
        .containers[0]?.state
    expect(of('failed to create containerd task: context canceled')).toMatchObject({ kind: 'waiting' })
    expect(of('exec: "nope": not found')).toMatchObject({ kind: 'terminated', exitCode: 128 })
    const told = 'starting sub-container [nope secret]: not found'
    expect(of(told)).toMatchObject({ message: 'starting sub-container: not found' })
  })

  it('that the kernel ended for memory has the exit code of that, also where all of its sandbox went', () => {
    const of = (exitCode: number, reason: string) =>
      observePod(
        input({ view: { sandboxes: [sandbox()], containers: [attempt(0, { ...ended, exitCode, reason })] } }),
      ).containers[0]?.state
    expect(of(128, 'OOMKilled')).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
    expect(of(137, 'OOMKilled')).toMatchObject({ exitCode: 137 })
    expect(of(128, 'Error')).toMatchObject({ exitCode: 128 })
  })

  it('adds last words to what the runtime says', () => {
    const view = {
      sandboxes: [sandbox()],
      containers: [attempt(0, { ...ended, exitCode: 1, message: 'runtime' }, { message: 'last words' })],
    }
    expect(observePod(input({ view })).containers[0]?.state).toMatchObject({
      message: 'runtime: last words',
    })
  })

  it('has addresses of the Pod by family, that of the node first', () => {
    const told = sandbox(0, {
      network: { ip: 'fd00::7', additionalIps: [{ ip: '10.0.0.7' }, { ip: '10.9.0.7' }] },
    })
    expect(podAddresses(aPod(), { ips: ['10.200.0.1'] }, told)).toEqual(['10.0.0.7', 'fd00::7'])
    const onNode = aPod({ spec: { hostNetwork: true } })
    expect(podAddresses(onNode, { ips: ['10.200.0.1'] }, told)).toEqual(['10.200.0.1'])
  })

  it('knows what an attempt was made with, and keeps that to itself', () => {
    const given = { limits: { memory: '64Mi' } }
    const marks = { generation: 1, container: aContainer(), backoffMs: 0, podIp: '', given }
    const one = attempt(0, { annotations: containerMarks(marks) })
    const seen = input({ view: { sandboxes: [sandbox()], containers: [one] } })
    expect(seen.plans.map((plan) => evidenceOf(plan, seen)?.given)).toEqual([given])
    expect(observePod(seen).containers[0]).not.toHaveProperty('given')
  })

  it('is stopping until everything is taken down', () => {
    const phases = (['no', 'under way', 'done'] as const).map((ending) => observePod(input({ ending })).phase)
    expect(phases).toEqual(['starting', 'stopping', 'stopped'])
  })
})
