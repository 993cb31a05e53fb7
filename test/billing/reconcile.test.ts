import { describe, expect, it } from 'vitest'
import { projectPod } from '../../src/billing/projection.ts'
import { reconcile, reconcileCases, type ReconcileCase } from '../../src/billing/reconcile.ts'
import { formatReconcile } from '../../src/cli/commands/ledger-reconcile.ts'
import type { PodStatus } from '../../src/model/kubernetes.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { aPod } from '../support/builders.ts'
import { fakeEpochMs as start } from '../support/fake-clock.ts'
import { lifeOf } from '../support/usage-events.ts'

function observed(change: Partial<PodObservation> = {}): PodObservation {
  return {
    uid: asPodUid('p'),
    namespace: 'default',
    name: 'p',
    nodeName: 'burst-0',
    incarnation: 0,
    supervised: true,
    generation: 1,
    phase: 'running',
    sandbox: { id: 's', createdAtMs: start, ready: true, podIps: [] },
    containers: [],
    ...change,
  }
}

const { intervals: open } = projectPod(asPodUid('p'), lifeOf('p', { startMs: start }))
const pod = (status?: PodStatus) => aPod({ uid: 'p', name: 'p', ...(status && { status }) })

describe('API server, backend and ledger beside each other', () => {
  it.each<[boolean, boolean, boolean, ReconcileCase]>([
    [true, true, true, 'runs and is billed'],
    [true, true, false, 'runs, not billed'],
    [true, false, true, 'billed, lost by the backend'],
    [true, false, false, 'not started'],
    [false, true, true, 'billed, unknown to the API server'],
    [false, true, false, 'not billed, unknown to the API server'],
    [false, false, true, 'billed, gone everywhere'],
  ])('api %s, backend %s, ledger %s: %s', (api, backend, ledger, name) => {
    const rows = reconcile({
      api: api ? [pod()] : [],
      backend: backend ? [observed()] : [],
      open: ledger ? open : [],
    })
    expect(rows).toEqual([
      {
        namespace: 'default',
        pod: 'p',
        podUid: 'p',
        api,
        backend,
        ledger,
        case: name,
        ...reconcileCases[name],
      },
    ])
  })

  it('that a Pod has ended and is closed is no difference, whoever still has it', () => {
    const stopped = observed({ phase: 'stopped' })
    const finished = pod({ phase: 'Succeeded' })
    const cases = (api: ReturnType<typeof pod>[], backend: PodObservation[]) =>
      reconcile({ api, backend, open: [] }).map((row) => row.case)
    expect(cases([finished], [stopped])).toEqual(['over'])
    expect(cases([finished], [])).toEqual(['over'])
    expect(cases([], [stopped])).toEqual(['over'])
    expect(cases([pod()], [stopped])).toEqual(['over'])
  })

  it('that has ended and is not closed yet is the backend’s to tell of', () => {
    const rows = reconcile({ api: [], backend: [observed({ phase: 'stopped' })], open })
    expect(rows.map((row) => row.case)).toEqual(['billed, unknown to the API server'])
  })

  it('what has no sandbox yet is not billed, and rightly so', () => {
    const { sandbox: _none, ...starting } = observed({ phase: 'starting' })
    expect(reconcile({ api: [pod()], backend: [starting], open: [] })).toMatchObject([
      { case: 'not started', agrees: true },
    ])
  })

  it('tells people of those that differ, and how many there are of each', () => {
    const rows = reconcile({ api: [pod(), aPod({ uid: 'q', name: 'q' })], backend: [], open })
    expect(formatReconcile(rows)).toBe(
      [
        'NAMESPACE  POD  API  BACKEND  LEDGER  CASE                         WHAT FOLLOWS',
        'default    p    yes  -        yes     billed, lost by the backend  closed where it was last seen, estimated; the Pod begins anew or is told to have failed',
        '',
        '2 Pods: 1 billed, lost by the backend; 1 not started',
        '',
      ].join('\n'),
    )
    expect(formatReconcile([])).toBe('0 Pods: none\nAPI server, backends and ledger agree.\n')
  })
})
