import { expect, it } from 'vitest'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { PodGenerations } from '../../src/pods/pod-generations.ts'

const uid = asPodUid('u')

function podWith(image: string, generation?: number): Pod {
  return {
    metadata: { uid, ...(generation !== undefined && { generation }) },
    spec: { containers: [{ name: 'main', image }] },
  }
}

it('counts each change of the spec, and nothing else', () => {
  const generations = new PodGenerations()
  const seen = ['a', 'a', 'b', 'b', 'a'].map(
    (image) => generations.numbered(uid, podWith(image)).metadata?.generation,
  )
  expect(seen).toEqual([1, 1, 2, 2, 3])
  const labelled = { ...podWith('a'), metadata: { uid, labels: { app: 'web' } } }
  expect(generations.numbered(uid, labelled).metadata).toEqual({ uid, labels: { app: 'web' }, generation: 3 })
})

it('leaves the API server’s own', () => {
  const pod = podWith('a', 7)
  expect(new PodGenerations().numbered(uid, pod)).toBe(pod)
})

it('begins anew with a Pod that is over', () => {
  const generations = new PodGenerations()
  for (const image of ['a', 'b']) generations.numbered(uid, podWith(image))
  generations.settled(uid)
  expect(generations.numbered(uid, podWith('c')).metadata?.generation).toBe(1)
})
