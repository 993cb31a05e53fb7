import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { SimulatorBackend } from '../../../src/backends/simulator/backend.ts'
import { annotationPrefix } from '../../../src/backends/simulator/script.ts'
import { SimulatedWorld } from '../../../src/backends/simulator/world.ts'
import { SpillwayError } from '../../../src/model/errors.ts'
import type { Pod } from '../../../src/model/kubernetes.ts'
import type { PodObservation } from '../../../src/model/pod-observation.ts'
import { aContainer, aPod, uidOf } from '../../support/builders.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakePodSources } from '../../support/pod-sources.ts'

const { signal } = new AbortController()

function aWorld(options: object = {}) {
  const clock = new FakeClock()
  const world = new SimulatedWorld({ options, clock })
  const backend = new SimulatorBackend({ name: 'simulated', world })
  const sources = new FakePodSources()
  const start = async (pod: Pod): Promise<void> => await backend.start(pod, sources, signal)
  const look = async (): Promise<PodObservation> => {
    const [pod] = await backend.list(signal)
    if (!pod) throw new Error('nothing is listed')
    return pod
  }
  return { clock, world, backend, start, look }
}

function scripted(
  script: Readonly<Record<string, string>>,
  spec: Pod['spec'] = { containers: [aContainer()] },
): Pod {
  const entries = Object.entries(script).map(([key, value]) => [annotationPrefix + key, value])
  const pod = aPod({ spec })
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: Object.fromEntries(entries) as Record<string, string> },
  }
}

describe('the simulated world', () => {
  it('is the same for the same seed, and another for another', async () => {
    const startedAt = async (seed: number): Promise<unknown> => {
      const { clock, start, look } = aWorld({ seed })
      await start(scripted({}))
      await clock.advance(5_000)
      return (await look()).containers[0]?.state
    }
    expect(await startedAt(7)).toEqual(await startedAt(7))
    expect(await startedAt(7)).not.toEqual(await startedAt(8))
  })

  it('replaces a sandbox that dies under the next incarnation, and counts the restart', async () => {
    const { clock, start, look } = aWorld()
    await start(scripted({ 'lose-sandbox-after-ms': '3000' }))
    await clock.advance(2_000)
    const before = await look()
    await clock.advance(5_000)
    const after = await look()
    expect([before.incarnation, after.incarnation]).toEqual([0, 1])
    expect(after.sandbox?.podIps).not.toEqual(before.sandbox?.podIps)
    expect(after.containers[0]).toMatchObject({
      restartCount: 1,
      state: { kind: 'running' },
      lastTerminated: { exitCode: 137 },
    })
  })

  it('never names two sandboxes alike, not after a restart that forgot the first one either', async () => {
    const named = async (nowMs: number): Promise<string | undefined> => {
      const { clock, start, look } = aWorld()
      await clock.advance(nowMs)
      await start(scripted({}))
      return (await look()).sandbox?.id
    }
    expect(await named(0)).not.toBe(await named(1))
  })

  it('takes nothing in when it is full or out of stock, and again when there is room', async () => {
    const { clock, world, backend, start } = aWorld({ pods: 1 })
    await start(aPod({ name: 'first' }))
    await expect(start(aPod({ name: 'second' }))).rejects.toMatchObject({
      code: 'Busy',
      reason: 'OutOfStock',
    })
    await backend.stop(uidOf(aPod({ name: 'first' })), { graceSeconds: 1 }, signal)
    await clock.advance(2_000)
    world.setStock(false)
    await expect(start(aPod({ name: 'second' }))).rejects.toMatchObject({ code: 'Busy' })
    world.setStock(true)
    await expect(start(aPod({ name: 'second' }))).resolves.toBeUndefined()
  })

  it('gives out the cards that it has, and lets Pods ask for what is none of its own', () => {
    const asking = (name: string, limits: Record<string, string>): Pod =>
      aPod({ name, spec: { containers: [aContainer({ resources: { limits } })] } })
    const { world } = aWorld({ extended: { 'nvidia.com/gpu': 2 } })
    expect(world.capacity().extended).toEqual(new Map([['nvidia.com/gpu', 2n]]))
    expect(world.lack(asking('three', { 'nvidia.com/gpu': '3' }))).toBe('not enough nvidia.com/gpu')
    expect(world.lack(asking('other', { 'example.com/dongle': '1' }))).toBeUndefined()
    world.accept(asking('two', { 'nvidia.com/gpu': '2' }), 'burst-0')
    expect(world.lack(asking('one', { 'nvidia.com/gpu': '1' }))).toBe('not enough nvidia.com/gpu')
  })

  it('shows an image that is missing as kubelet does', async () => {
    const image = 'docker.io/library/missing:1'
    const { clock, start, look } = aWorld({ missingImages: [image] })
    await start(scripted({}, { containers: [aContainer({ image })] }))
    await clock.advance(500)
    expect((await look()).containers[0]?.state).toMatchObject({ reason: 'ErrImagePull' })
    await clock.advance(2_000)
    expect((await look()).containers[0]?.state).toMatchObject({ reason: 'ImagePullBackOff' })
  })

  it('lets a container back off when it crashes again and again', async () => {
    const { clock, start, look } = aWorld()
    await start(scripted({ 'run-ms': '100', 'exit-code': '1' }))
    await clock.advance(5_000)
    const looping = (await look()).containers[0]
    expect(looping).toMatchObject({ restartCount: 1, state: { kind: 'waiting', reason: 'CrashLoopBackOff' } })
    await clock.advance(10_000)
    expect((await look()).containers[0]?.restartCount).toBe(2)
  })

  it('goes on while no instance looks at it', async () => {
    const { clock, world, backend, start } = aWorld()
    await start(
      scripted(
        { 'run-ms': '3000', 'exit-code': '6' },
        { restartPolicy: 'Never', containers: [aContainer()] },
      ),
    )
    await clock.advance(2_000)
    await backend.close()
    await clock.advance(60_000)
    const next = new SimulatorBackend({ name: 'simulated', world })
    const [found] = await next.list(signal)
    expect(found).toMatchObject({ supervised: false, phase: 'running' })
    expect(found?.containers[0]?.state).toMatchObject({ kind: 'terminated', exitCode: 6 })
    await next.start(
      scripted({}, { restartPolicy: 'Never', containers: [aContainer()] }),
      new FakePodSources(),
      signal,
    )
    expect((await next.list(signal))[0]?.phase).toBe('stopped')
  })

  it('fails the calls that it is told to fail, once each', async () => {
    const { world, backend } = aWorld()
    world.failNext('list', new SpillwayError('Unavailable', 'scripted'))
    await expect(backend.list(signal)).rejects.toMatchObject({ code: 'Unavailable' })
    await expect(backend.list(signal)).resolves.toEqual([])
  })

  it('prints what it is told to, with the container’s variables', async () => {
    const { clock, backend, start } = aWorld()
    const env = [{ name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]
    await start(scripted({ print: 'I am $(WHO)' }, { containers: [aContainer({ env })] }))
    await clock.advance(2_000)
    const options = { follow: false, previous: false, timestamps: false }
    expect(await text(await backend.logs(uidOf(aPod()), 'main', options, signal))).toBe('I am web\n')
  })

  it('refuses options that it does not know, naming them', () => {
    expect(() => aWorld({ sandboxMs: -1 })).toThrow(/sandboxMs/)
    expect(() => aWorld({ podCidr: '10.0.0.0/31' })).toThrow(/podCidr/)
  })
})
