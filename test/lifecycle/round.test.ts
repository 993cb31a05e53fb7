import { describe, expect, it } from 'vitest'
import { podActions, type ContainerEvidence, type PodActions } from '../../src/lifecycle/pod-actions.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../support/builders.ts'

const nowMs = Date.parse('2026-01-01T00:10:00Z')
const image = aContainer().image ?? ''

function actionsFor(evidence: Partial<ContainerEvidence> = {}, spec: Partial<PodSpec> = {}): PodActions {
  const running: ContainerEvidence = {
    name: 'main',
    kind: 'main',
    image,
    state: { kind: 'running', startedAtMs: nowMs - 5_000 },
    restartCount: 0,
    started: true,
    ready: true,
    ...evidence,
  }
  return podActions({
    pod: aPod({ spec }),
    sandbox: { ready: true, attempt: 0 },
    containers: [running],
    resizeRestarts: new Set(['main']),
    stopping: false,
    nowMs,
  })
}

describe('a container that has to be made anew to get its size', () => {
  it('is ended, to start again at once, whatever the policy', () => {
    for (const restartPolicy of ['Always', 'OnFailure', 'Never']) {
      const actions = actionsFor({}, { restartPolicy })
      expect(actions.finished).toBeUndefined()
      expect(actions.kill).toEqual([
        {
          name: 'main',
          reason: 'Resized',
          message: 'Container main resize requires restart',
          graceSeconds: 30,
          restartAtOnce: true,
        },
      ])
    }
  })

  it('is ended because it is unwell when it is that, too', () => {
    const actions = podActions({
      pod: aPod(),
      sandbox: { ready: true, attempt: 0 },
      containers: [
        {
          name: 'main',
          kind: 'main',
          image,
          state: { kind: 'running', startedAtMs: nowMs - 5_000 },
          restartCount: 0,
          started: true,
          ready: true,
        },
      ],
      failedProbes: new Map([['main', 'liveness']]),
      resizeRestarts: new Set(['main']),
      stopping: false,
      nowMs,
    })
    expect(actions.kill.map(({ reason }) => reason)).toEqual(['LivenessFailed'])
  })

  const failed = {
    kind: 'terminated',
    exitCode: 1,
    reason: 'Error',
    startedAtMs: nowMs - 20_000,
    finishedAtMs: nowMs - 6_000,
  } as const

  it('waits for its back-off like any other that was just started again, if its size is the one that it had', () => {
    const actions = actionsFor({ restartCount: 1, backoffMs: 10_000, lastTerminated: failed })
    expect(actions.kill).toMatchObject([{ reason: 'Resized', restartAtOnce: false }])
  })

  it('does not wait when its size is another than the one that it was made with', () => {
    const given = { limits: { memory: '64Mi' } }
    const actions = actionsFor({ restartCount: 1, backoffMs: 10_000, lastTerminated: failed, given })
    expect(actions.kill).toMatchObject([{ reason: 'Resized', restartAtOnce: true }])
  })
})

describe('a container that failed', () => {
  const given = { requests: { memory: '32Mi' }, limits: { memory: '64Mi' } }
  const failed: Partial<ContainerEvidence> = {
    state: {
      kind: 'terminated',
      exitCode: 137,
      reason: 'OOMKilled',
      startedAtMs: nowMs - 20_000,
      finishedAtMs: nowMs - 6_000,
    },
    restartCount: 4,
    backoffMs: 80_000,
    given,
  }
  const starts = (limit: string) => {
    const resources = { limits: { memory: limit }, requests: { memory: '32Mi' } }
    return actionsFor(failed, { containers: [aContainer({ resources })] }).start
  }

  it('waits for its back-off, however its size is written', () => {
    for (const limit of ['64Mi', '65536Ki']) expect(starts(limit)).toEqual([])
  })

  it('starts at once with another size, and its back-off begins anew', () => {
    expect(starts('128Mi')).toEqual([{ name: 'main', kind: 'main', attempt: 5, backoffMs: 10_000 }])
  })
})
