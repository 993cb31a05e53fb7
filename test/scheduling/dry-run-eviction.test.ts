import { expect, test } from 'vitest'
import type { KubeObject } from '../../src/model/kubernetes.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { whyNotEvictable } from '../../src/scheduling/dry-run-eviction.ts'
import { outPod } from './move-back-samples.ts'

const { signal } = new AbortController()

async function ask(answer: KubeObject | Error): Promise<{ asked: unknown; said: string | undefined }> {
  const asked: unknown[] = []
  const api = {
    createSubresource: async <Body extends KubeObject>(...given: readonly unknown[]): Promise<Body> => {
      asked.push(given[2], given[3])
      if (answer instanceof Error) throw answer
      return answer as Body
    },
  }
  return { said: await whyNotEvictable(api, outPod('c'), signal), asked }
}

test('the API server is asked, and evicts nobody', async () => {
  const { asked, said } = await ask({ kind: 'Status', status: 'Success' } as KubeObject)
  expect(said).toBeUndefined()
  expect(asked).toEqual([
    'eviction',
    {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { namespace: 'shop', name: 'c' },
      deleteOptions: { dryRun: ['All'], preconditions: { uid: 'uid-c' } },
    },
  ])
})

test('a budget that refuses is passed on, also where it comes as an answer', async () => {
  expect((await ask(new SpillwayError('Busy', 'the budget is spent'))).said).toBe('the budget is spent')
  expect((await ask(new SpillwayError('Forbidden', 'not you'))).said).toBe('not you')
  const two = { kind: 'Status', status: 'Failure', message: 'more than one budget' }
  expect((await ask(two as KubeObject)).said).toBe('more than one budget')
})

test('any other error goes up', async () => {
  await expect(ask(new SpillwayError('Unavailable', 'nobody there'))).rejects.toThrow('nobody there')
})
