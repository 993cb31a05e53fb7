import { describe, expect, test } from 'vitest'
import { deployments, webDeployment } from '../../src/cli/demo/manifests.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { deletionCostAnnotation, deletionCostSetAnnotation } from '../../src/model/words.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { webWith } from '../support/story-manifests.ts'

const namespace = 'story-scale-in'
const told = story(namespace)
const rounds = Number(process.env['SPILLWAY_ROUNDS'] ?? 3)

describe('scale-in, with the controllers as upstream ships them', () => {
  test(
    `8 → 2 leaves the 2 on the server, in ${rounds} of ${rounds} rounds`,
    { timeout: rounds * 60_000 },
    async () => {
      const { api, signal, until } = told.current
      await api.create(deployments, webDeployment(namespace, 2), signal)
      await until('2 Pods are ready', () => ready('web').length === 2)
      const onServer = uids(ready('web').filter((pod) => !isVirtual(pod)))
      expect(onServer).toHaveLength(2)
      let held = 0
      for (let round = 0; round < rounds; round += 1) {
        await scale('web', 8)
        await until('8 Pods are ready', () => ready('web').length === 8)
        expect(ready('web').filter(isVirtual)).toHaveLength(6)
        await until('each virtual one has its deletion cost', () =>
          ready('web').filter(isVirtual).every(hasCost),
        )
        await scale('web', 2)
        await until('2 Pods are left', () => podsOf('web').length === 2)
        if (uids(podsOf('web')).join() === onServer.join()) held += 1
      }
      process.stdout.write(`scale-in: the 2 on the server stayed in ${held} of ${rounds} rounds\n`)
      expect(held).toBe(rounds)
    },
  )

  test("a user's own deletion cost is left as it is", async () => {
    const { api, signal, until } = told.current
    const annotations = { [deletionCostAnnotation]: '7' }
    await api.create(deployments, webWith({ namespace, name: 'dear' }, 2, { annotations }), signal)
    await scale('web', 3)
    await until('its 2 and one more run out there', () => ready('dear').length + ready('web').length === 5)
    const [ours] = ready('web').filter(isVirtual)
    await until('ours has its cost, and it came later', () =>
      hasCost(told.current.pod(ours?.metadata?.name ?? '')),
    )
    const dear = ready('dear')
    expect(dear.every(isVirtual)).toBe(true)
    for (const { metadata } of dear) {
      expect(metadata?.annotations).toMatchObject(annotations)
      expect(metadata?.annotations).not.toHaveProperty([deletionCostSetAnnotation])
    }
  })
})

function podsOf(app: string): readonly Pod[] {
  return told.current.pods().filter(({ metadata }) => metadata?.labels?.['app'] === app)
}

function ready(app: string): readonly Pod[] {
  return podsOf(app).filter((pod) => isReady(pod) && !pod.metadata?.deletionTimestamp)
}

function uids(list: readonly Pod[]): string[] {
  return list.map(({ metadata }) => metadata?.uid ?? '').sort()
}

function hasCost(pod: Pod | undefined): boolean {
  return Number(pod?.metadata?.annotations?.[deletionCostAnnotation] ?? 0) < 0
}

async function scale(name: string, replicas: number): Promise<void> {
  const patch = { type: 'merge', body: { spec: { replicas } } } as const
  await told.current.api.patch(deployments, { namespace, name }, patch, told.current.signal)
}
