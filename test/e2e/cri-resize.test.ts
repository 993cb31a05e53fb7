import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cgroupLayout } from '../../src/backends/cri/resources/cgroup-layout.ts'
import { Cgroups } from '../../src/backends/cri/resources/cgroups.ts'
import type { Container, Pod, PodSpec, ResourceRequirements } from '../../src/model/kubernetes.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { containerOf, Follower, isRunning, until } from '../conformance/harness.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'
import { criHarness, sh, shell, type CriHarness } from '../support/cri-harness.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import {
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const missing = missingForContainerd()
const sleeping = shell('main', { does: 'sleep' }).container
const mebi = 2n ** 20n

function sized(cpu: string, memory: string): ResourceRequirements {
  return { requests: { cpu, memory }, limits: { cpu, memory } }
}

describe.skipIf(missing.length > 0)('A Pod that is resized on a real containerd', () => {
  let runtime: PrivateContainerd
  let harness: CriHarness
  let follower: Follower
  let sources: FakePodSources
  let serial = 0
  const { signal } = new AbortController()

  beforeAll(async () => {
    runtime = await startPrivateContainerd({ bridge: 'swcri3', subnet: '10.246.3.0/24' })
  })

  afterAll(async () => {
    await runtime?.destroy()
  })

  beforeEach(async () => {
    harness = await criHarness(runtime)
    follower = new Follower(harness)
    sources = new FakePodSources()
    await until(harness, 'the first snapshot', () => follower.synced)
  })

  afterEach(async () => {
    await follower.close()
    await harness.close()
  })

  function podWith(containers: readonly Partial<Container>[], spec: Partial<PodSpec> = {}): Pod {
    const name = `pod-${++serial}`
    const uid = `00000000-0000-4000-b000-${String(serial).padStart(12, '0')}`
    return aPod({ name, uid, spec: { containers: containers.map(aContainer), ...spec } })
  }

  async function running(pod: Pod): Promise<PodObservation> {
    await harness.backend().start(pod, sources, signal)
    const names = pod.spec?.containers.map(({ name }) => name) ?? []
    return await follower.seen(uidOf(pod), 'running', (one) => names.every((name) => isRunning(one, name)))
  }

  /** The Pod as if somebody had patched it. */
  function resized(pod: Pod, sizes: Readonly<Record<string, ResourceRequirements>>): Pod {
    const changed = (list: readonly Container[] = []): Container[] =>
      list.map((one) => ({ ...one, resources: sizes[one.name] ?? one.resources ?? {} }))
    const { initContainers } = pod.spec ?? {}
    return {
      ...pod,
      metadata: { ...pod.metadata, generation: (pod.metadata?.generation ?? 0) + 1 },
      spec: {
        ...pod.spec,
        ...(initContainers && { initContainers: changed(initContainers) }),
        containers: changed(pod.spec?.containers),
      },
    }
  }

  async function inEffect(pod: Pod): Promise<PodObservation> {
    return await follower.seen(uidOf(pod), 'in effect', ({ allocation }) => {
      return allocation?.generation === pod.metadata?.generation && allocation?.inEffectAtMs !== undefined
    })
  }

  async function resize(pod: Pod, sizes: Readonly<Record<string, ResourceRequirements>>): Promise<Pod> {
    const after = resized(pod, sizes)
    await harness.backend().update(after, signal)
    return after
  }

  async function podCgroup(pod: Pod): Promise<object> {
    const cgroups = await Cgroups.open(harness.cgroupParent)
    return await cgroups.limits(uidOf(pod), { cpuShares: 0 })
  }

  /** The kernel's own number for a container. */
  async function memoryLimitOf(seen: PodObservation, name = 'main'): Promise<bigint> {
    const layout = cgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'))
    const id = containerOf(seen, name).containerId?.replace('containerd://', '') ?? ''
    const path = join(harness.cgroupParent, `pod${seen.uid}`, id)
    const file =
      layout.version === 2
        ? join(layout.root, path, 'memory.max')
        : join(layout.controllers.get('memory') ?? '', path, 'memory.limit_in_bytes')
    return BigInt((await readFile(file, 'utf8')).trim())
  }

  it('goes on running in the same containers, which have what it asks for, up and down', async () => {
    const small = podWith([{ ...sleeping, resources: sized('200m', '64Mi') }])
    const before = await running(small)
    expect(before.allocation).toMatchObject({ generation: 1, inEffectAtMs: expect.any(Number) })

    const large = await resize(small, { main: sized('500m', '128Mi') })
    const grown = await inEffect(large)
    expect(await podCgroup(large)).toEqual({ cpuShares: 512, cpuQuotaUs: 50_000, memoryBytes: 128n * mebi })
    expect(await memoryLimitOf(grown)).toBe(128n * mebi)
    expect(containerOf(grown).resources).toEqual(sized('500m', '128Mi'))
    expect(grown.resources).toMatchObject({ limits: { cpu: '500m', memory: '128Mi' } })

    const least = await resize(large, { main: sized('100m', '32Mi') })
    const shrunk = await inEffect(least)
    expect(await podCgroup(least)).toEqual({ cpuShares: 102, cpuQuotaUs: 10_000, memoryBytes: 32n * mebi })
    expect(await memoryLimitOf(shrunk)).toBe(32n * mebi)
    expect(containerOf(shrunk)).toMatchObject({
      containerId: containerOf(before).containerId,
      restartCount: 0,
      resources: sized('100m', '32Mi'),
    })
  })

  it('moves room from one container to another', async () => {
    const two = podWith([
      { ...sleeping, name: 'a', resources: sized('300m', '96Mi') },
      { ...sleeping, name: 'b', resources: sized('100m', '32Mi') },
    ])
    const before = await running(two)
    const after = await inEffect(await resize(two, { a: sized('100m', '32Mi'), b: sized('300m', '96Mi') }))
    expect(await memoryLimitOf(after, 'a')).toBe(32n * mebi)
    expect(await memoryLimitOf(after, 'b')).toBe(96n * mebi)
    for (const name of ['a', 'b'])
      expect(containerOf(after, name).containerId).toBe(containerOf(before, name).containerId)
  })

  it('makes anew only the container whose policy wants that, whatever the Pod’s', async () => {
    const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]
    const pod = podWith(
      [
        { ...sleeping, name: 'a', resources: sized('100m', '64Mi'), resizePolicy },
        { ...sleeping, name: 'b', resources: sized('100m', '64Mi') },
      ],
      { restartPolicy: 'Never' },
    )
    const before = await running(pod)
    const faster = await resize(pod, { a: sized('200m', '64Mi'), b: sized('200m', '64Mi') })
    expect(containerOf(await inEffect(faster), 'a').restartCount).toBe(0)

    const larger = await resize(faster, { a: sized('200m', '96Mi'), b: sized('200m', '96Mi') })
    const after = await inEffect(larger)
    expect(containerOf(after, 'a')).toMatchObject({ restartCount: 1, state: { kind: 'running' } })
    expect(await memoryLimitOf(after, 'a')).toBe(96n * mebi)
    expect(containerOf(after, 'b').containerId).toBe(containerOf(before, 'b').containerId)
    expect(follower.happenings(uidOf(pod))).toContainEqual({
      type: 'Normal',
      reason: 'Killing',
      message: 'Container a resize requires restart',
      fieldPath: 'spec.containers{a}',
    })
  })

  it('resizes its sidecars with it', async () => {
    const pod = podWith([{ ...sleeping, resources: sized('100m', '64Mi') }], {
      initContainers: [
        aContainer({
          ...sleeping,
          name: 'proxy',
          restartPolicy: 'Always',
          resources: sized('100m', '64Mi'),
        }),
      ],
    })
    const before = await running(pod)
    const after = await inEffect(await resize(pod, { proxy: sized('200m', '96Mi') }))
    expect(await memoryLimitOf(after, 'proxy')).toBe(96n * mebi)
    expect(containerOf(after, 'proxy').containerId).toBe(containerOf(before, 'proxy').containerId)
    expect(await podCgroup(pod)).toMatchObject({ cpuQuotaUs: 30_000, memoryBytes: 160n * mebi })
  })

  it('resizes what prepares it while that runs', async () => {
    const size = sized('100m', '64Mi')
    const pod = podWith([{ ...sleeping, resources: size }], {
      initContainers: [aContainer({ ...sleeping, name: 'setup', resources: size })],
    })
    await harness.backend().start(pod, sources, signal)
    const before = await follower.seen(uidOf(pod), 'being set up', (one) => isRunning(one, 'setup'))
    const after = await inEffect(await resize(pod, { setup: sized('200m', '96Mi') }))
    expect(await memoryLimitOf(after, 'setup')).toBe(96n * mebi)
    expect(containerOf(after, 'setup').containerId).toBe(containerOf(before, 'setup').containerId)
  })

  it('keeps what it has, and says why, rather than take away memory that is in use', async () => {
    const holding = sh(
      'x=$(head -c 30000000 /dev/zero | tr "\\0" a); trap "exit 0" TERM; while true; do sleep 0.1; done',
    )
    const pod = podWith([{ ...holding.container, resources: sized('500m', '200Mi') }])
    await running(pod)
    await until(harness, 'the memory to be in use', async () => {
      const { pods } = await harness.backend().usage({ storage: false }, signal)
      const [main] = pods.find(({ uid }) => uid === uidOf(pod))?.containers ?? []
      return (main?.memory?.workingSetBytes ?? 0n) > 25n * mebi
    })
    const tooSmall = await resize(pod, { main: sized('500m', '16Mi') })
    const seen = await follower.seen(uidOf(pod), 'told why not', (one) => one.allocation?.error !== undefined)
    expect(seen.allocation).toMatchObject({ generation: 2 })
    expect(seen.allocation?.inEffectAtMs).toBeUndefined()
    expect(seen.allocation?.error).toMatch(
      /^cannot decrease memory limits: \[attempting to set pod memory limit \(16777216\) below current usage \(\d+\), attempting to set container "main" memory limit \(16777216\) below current usage \(\d+\)\]$/,
    )
    expect(await memoryLimitOf(seen)).toBe(200n * mebi)
    const after = await inEffect(await resize(tooSmall, { main: sized('500m', '256Mi') }))
    expect(after.allocation?.error).toBeUndefined()
    expect(containerOf(after)).toMatchObject({ restartCount: 0 })
  })

  it('has the size that was set aside for it after a restart of ours, and gets it then', async () => {
    const pod = podWith([{ ...sleeping, resources: sized('100m', '64Mi') }])
    await running(pod)
    const larger = resized(pod, { main: sized('200m', '96Mi') })
    // The process ends right after it has said yes.
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
    const after = await inEffect(larger)
    expect(await memoryLimitOf(after)).toBe(96n * mebi)
    expect(containerOf(after).restartCount).toBe(0)
  })

  it('is held to what it asks for as a whole, and follows when that changes', async () => {
    const pod = podWith(
      [
        { ...sleeping, name: 'a' },
        { ...sleeping, name: 'b', resources: sized('100m', '32Mi') },
      ],
      {
        resources: sized('400m', '128Mi'),
      },
    )
    const before = await running(pod)
    expect(await podCgroup(pod)).toEqual({ cpuShares: 409, cpuQuotaUs: 40_000, memoryBytes: 128n * mebi })
    // What states no limit itself has the Pod's.
    expect(await memoryLimitOf(before, 'a')).toBe(128n * mebi)
    const larger: Pod = {
      ...pod,
      metadata: { ...pod.metadata, generation: 2 },
      spec: { ...pod.spec, containers: pod.spec?.containers ?? [], resources: sized('800m', '192Mi') },
    }
    await harness.backend().update(larger, signal)
    const after = await inEffect(larger)
    expect(await podCgroup(pod)).toEqual({ cpuShares: 819, cpuQuotaUs: 80_000, memoryBytes: 192n * mebi })
    expect(await memoryLimitOf(after, 'a')).toBe(192n * mebi)
    expect(await memoryLimitOf(after, 'b')).toBe(32n * mebi)
  })
})
