import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Container, Pod, ResourceRequirements } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import { containerOf, Follower, isRunning, until, withWorkloads, type BackendHarness } from './harness.ts'

const sized = (cpu: string, memory: string): ResourceRequirements => ({
  requests: { cpu, memory },
  limits: { cpu, memory },
})

/** What a backend that offers `inPlaceResize` keeps: `allocation` and `resources` of its observations. */
export function resizeContract(name: string, makeHarness: () => Promise<BackendHarness>): void {
  describe(`${name} as a backend that resizes Pods`, () => {
    let harness: BackendHarness
    let follower: Follower
    let sources: FakePodSources
    let serial = 0
    const { signal } = new AbortController()

    beforeEach(async ({ skip }) => {
      harness = await makeHarness()
      follower = new Follower(harness)
      sources = new FakePodSources()
      await until(harness, 'the first snapshot', () => follower.synced)
      skip(!harness.backend().capabilities().features.has('inPlaceResize'), 'it does not resize')
    })

    afterEach(async () => {
      await follower.close()
      await harness.close()
    })

    function podOf(size: ResourceRequirements, more: Partial<Container> = {}): Pod {
      const number = String(++serial).padStart(12, '0')
      const base = { name: `resized-${serial}`, uid: `00000000-0000-4000-c000-${number}` }
      const pod = withWorkloads(harness, aPod(base), { main: { does: 'sleep' } })
      return withMain(pod, { ...more, resources: size })
    }

    function withMain(pod: Pod, more: Partial<Container>): Pod {
      const containers = (pod.spec?.containers ?? []).map((one) => aContainer({ ...one, ...more }))
      return { ...pod, spec: { ...pod.spec, containers } }
    }

    /** As if somebody had patched it. */
    function resized(pod: Pod, size: ResourceRequirements): Pod {
      const metadata = { ...pod.metadata, generation: (pod.metadata?.generation ?? 0) + 1 }
      return { ...withMain(pod, { resources: size }), metadata }
    }

    async function running(pod: Pod): Promise<PodObservation> {
      await harness.backend().start(pod, sources, signal)
      return await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
    }

    async function inEffect(pod: Pod): Promise<PodObservation> {
      const generation = pod.metadata?.generation
      return await follower.seen(
        uidOf(pod),
        `size ${generation} in effect`,
        ({ allocation }) => allocation?.generation === generation && allocation?.inEffectAtMs !== undefined,
      )
    }

    it('has given a new Pod all that it asks for from the start', async () => {
      const seen = await running(podOf(sized('100m', '64Mi')))
      expect(seen.allocation).toMatchObject({
        generation: 1,
        resources: { containers: { main: sized('100m', '64Mi') } },
      })
      expect(seen.allocation?.inEffectAtMs).toBeLessThanOrEqual(harness.clock.wallMs())
    })

    it('gives a running container another size, and says when it has it', async () => {
      const pod = podOf(sized('100m', '64Mi'))
      const before = await running(pod)
      const larger = resized(pod, sized('200m', '96Mi'))
      await harness.backend().update(larger, signal)
      const after = await inEffect(larger)
      expect(after.allocation?.inEffectAtMs).toBeGreaterThanOrEqual(
        before.allocation?.inEffectAtMs ?? Infinity,
      )
      expect(containerOf(after)).toMatchObject({
        containerId: containerOf(before).containerId,
        restartCount: 0,
        resources: sized('200m', '96Mi'),
      })
    })

    it('makes a container anew when its policy wants that', async () => {
      const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]
      const pod = podOf(sized('100m', '64Mi'), { resizePolicy })
      await running(pod)
      const larger = resized(pod, sized('100m', '96Mi'))
      await harness.backend().update(larger, signal)
      await inEffect(larger)
      const after = await follower.seen(
        uidOf(pod),
        'running again',
        (one) => isRunning(one) && containerOf(one).restartCount === 1,
      )
      expect(containerOf(after).resources).toEqual(sized('100m', '96Mi'))
    })

    it('keeps what is set aside over a restart of the process', async () => {
      const pod = podOf(sized('100m', '64Mi'))
      await running(pod)
      const larger = resized(pod, sized('200m', '96Mi'))
      await harness.backend().update(larger, signal)
      await follower.close()
      const backend = await harness.restartProcess()
      follower = new Follower(harness)
      const [listed] = await backend.list(signal)
      expect(listed?.allocation).toMatchObject({
        generation: 2,
        resources: { containers: { main: sized('200m', '96Mi') } },
      })
      await backend.start(larger, sources, signal)
      await inEffect(larger)
    })
  })
}
