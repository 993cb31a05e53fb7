import { describe, expect, it } from 'vitest'
import { podStatus } from '../../src/lifecycle/pod-status.ts'
import type { PodStatus } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { at, exited, observed, running } from './observations.ts'

const mark = { reason: 'Evicted', message: 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ' }
const pod = aPod({ spec: { restartPolicy: 'Always', containers: [aContainer({ name: 'main' })] } })

function statusOf(previous: PodStatus, seen: PodObservation | undefined): PodStatus {
  return podStatus({ pod, previous, observed: seen, node: { hostIps: ['10.0.0.1'] }, nowMs: at(30) })
}

describe('the status of a Pod that its node evicts', () => {
  it('keeps the reason while something runs', () => {
    const ending = observed({ phase: 'stopping', containers: [running('main')] })
    expect(statusOf({ phase: 'Running', ...mark }, ending)).toMatchObject({ phase: 'Running', ...mark })
  })

  it('is Failed when all has ended, whatever the exit codes, and stays so', () => {
    const over = observed({ phase: 'stopped', containers: [exited('main', 0)] })
    const status = statusOf({ phase: 'Running', ...mark }, over)
    expect(status).toMatchObject({ phase: 'Failed', ...mark })
    expect(statusOf(status, over)).toMatchObject({ phase: 'Failed', ...mark })
  })

  it('is Failed when the backend lost it', () => {
    expect(statusOf({ phase: 'Running', ...mark }, undefined)).toMatchObject({ phase: 'Failed', ...mark })
  })
})
