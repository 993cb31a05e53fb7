import { expect, test } from 'vitest'
import type { KubeApi } from '../../src/kube/api.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { drainPods } from '../../src/pools/drain-pods.ts'
import { aPod } from '../support/builders.ts'

const signal = new AbortController().signal

test('a Pod that may not be evicted is named with the reason, in whichever way the API server refuses', async () => {
  const answers: Readonly<Record<string, () => object>> = {
    free: () => ({}),
    gone: () => {
      throw new SpillwayError('NotFound', 'pods "gone" not found')
    },
    guarded: () => {
      throw new SpillwayError('Busy', 'the disruption budget db needs 2 healthy pods', { afterMs: 10_000 })
    },
    // As it answers for a Pod of two budgets: with success.
    doubly: () => ({ status: 'Failure', message: 'This pod has more than one PodDisruptionBudget' }),
  }
  const asked: string[] = []
  const api = {
    createSubresource: async (_resource: unknown, { name }: { name: string }) => {
      asked.push(name)
      return answers[name]?.() ?? {}
    },
  } as unknown as KubeApi
  const leaving = aPod({ name: 'leaving' })
  const pods = [...Object.keys(answers).map((name) => aPod({ name })), leaving]
  leaving.metadata = { ...leaving.metadata, deletionTimestamp: '2026-11-29T08:00:00Z' }
  const blocked = await drainPods({ api, pods, by: 'eviction' }, signal)
  expect(asked).toEqual(Object.keys(answers))
  expect(blocked).toEqual([
    expect.stringMatching(/\/guarded: the disruption budget db needs 2 healthy pods$/),
    expect.stringMatching(/\/doubly: This pod has more than one PodDisruptionBudget$/),
  ])
})
