import {
  sizeOf,
  type ContainerResize,
  type ContainerSize,
  type ResizeActions,
} from '../../../lifecycle/resize-actions.ts'
import { errorMessage, hasCode, SpillwayError } from '../../../model/errors.ts'
import type { Container, Pod, ResourceRequirements } from '../../../model/kubernetes.ts'
import { formatBytes, formatCpu } from '../../../model/quantity.ts'
import { runtimeSentence } from '../runtime/errors.ts'
import { resizesLeft } from './resizes-left.ts'
import {
  containerResources,
  cpuPeriodUs,
  podCgroupLimits,
  sandboxOverhead,
  type CpuMemory,
} from './linux-resources.ts'
import { givenTo } from '../pod/observe.ts'
import type { PodHandle } from '../pod/pod-context.ts'

export interface PodResize extends PodHandle {
  /** With the size that is set aside for it. */
  readonly pod: Pod
}

/**
 * Brings the Pod's cgroup and its running containers to the size in its spec: what kubelet calls doPodResizeAction.
 * Memory before processors; what grows grows from the Pod inwards, what shrinks from the containers outwards, so that no
 * container ever has more than its Pod. Safe to be broken off anywhere and begun again: what a container has been given
 * is noted after each step. Rejects with kubelet's sentence for what stopped it.
 */
export async function resizePod(input: PodResize, signal: AbortSignal): Promise<void> {
  const { tools, ref, pod, picture, notes } = input
  const wanted = podCgroupLimits(pod)
  const held = await tools.cgroups.limits(ref.uid, wanted)
  picture.sawPodCgroup(held)
  const left = resizesLeft(pod, picture, notes)
  await refuseBelowUsage(input, { left, held, wanted }, signal)
  const cgroup = new PodCgroup(input, held, signal)
  await inOrder(
    left.memory.map((resize) => () => updateContainer(input, resize, 'memory', signal)),
    [{ part: pick(wanted, 'memoryBytes'), change: compareMemory(wanted, held) }],
    cgroup,
  )
  await inOrder(
    left.cpu.map((resize) => () => updateContainer(input, resize, 'cpu', signal)),
    [
      { part: pick(wanted, 'cpuQuotaUs'), change: compareQuota(wanted, held) },
      { part: { cpuShares: wanted.cpuShares }, change: wanted.cpuShares - held.cpuShares },
    ],
    cgroup,
  )
}

interface CgroupStep {
  readonly part: Partial<CpuMemory>
  /** Below 0: it shrinks. */
  readonly change: number
}

/** Limits grow before requests and shrink after them, so that a request is never above its limit. */
async function inOrder(
  updates: readonly (() => Promise<void>)[],
  steps: readonly CgroupStep[],
  cgroup: PodCgroup,
): Promise<void> {
  for (const { part, change } of steps) if (change > 0) await cgroup.set(part)
  for (const update of updates) await update()
  for (const { part, change } of steps.toReversed()) if (change < 0) await cgroup.set(part)
}

/** A limit that the Pod does not have (any more) is left as it is: a resize cannot remove limits. */
function compareMemory(wanted: CpuMemory, held: CpuMemory): number {
  if (wanted.memoryBytes === undefined || wanted.memoryBytes === held.memoryBytes) return 0
  return held.memoryBytes === undefined || wanted.memoryBytes < held.memoryBytes ? -1 : 1
}

function pick(limits: CpuMemory, name: 'memoryBytes' | 'cpuQuotaUs'): Partial<CpuMemory> {
  const value = limits[name]
  return value === undefined ? {} : { [name]: value }
}

/** In the kernel's numbers, as kubelet compares them: no quota is -1, so that a first one counts as growth. */
function compareQuota(wanted: CpuMemory, held: CpuMemory): number {
  return wanted.cpuQuotaUs === undefined ? 0 : wanted.cpuQuotaUs - (held.cpuQuotaUs ?? -1)
}

class PodCgroup {
  readonly #input: PodResize
  readonly #signal: AbortSignal
  #held: CpuMemory

  constructor(input: PodResize, held: CpuMemory, signal: AbortSignal) {
    this.#input = input
    this.#held = held
    this.#signal = signal
  }

  /** The runtime is asked first: it may have a reason to refuse. */
  async set(part: Partial<CpuMemory>): Promise<void> {
    const resource = part.memoryBytes === undefined ? 'cpu' : 'memory'
    const { tools, ref, picture } = this.#input
    const next = { ...this.#held, ...part }
    await this.#notify(next).catch((error: unknown) => {
      const why = `(resource=${resource}); resize rejected: ${runtimeSentence(error)}`
      const message = `failed to notify runtime for UpdatePodSandboxResources ${why}`
      throw new SpillwayError('Unavailable', message, { cause: error })
    })
    try {
      await tools.cgroups.set(ref.uid, part)
    } catch (error) {
      await this.#notify(this.#held).catch(() => undefined)
      throw error
    }
    this.#held = next
    picture.sawPodCgroup(next)
  }

  async #notify({ cpuShares, cpuQuotaUs, memoryBytes }: CpuMemory): Promise<void> {
    const { tools, picture, pod } = this.#input
    const sandbox = picture.current
    if (!sandbox) return
    const overhead = sandboxOverhead(pod)
    const resources = {
      cpuShares: cpuShares - (overhead?.cpuShares ?? 0),
      cpuPeriod: cpuPeriodUs,
      ...(cpuQuotaUs !== undefined && { cpuQuota: cpuQuotaUs - (overhead?.cpuQuota ?? 0) }),
      ...(memoryBytes !== undefined && {
        memoryLimitInBytes: String(memoryBytes - BigInt(overhead?.memoryLimitInBytes ?? 0)),
      }),
    }
    try {
      const update = { resources, ...(overhead && { overhead }) }
      await tools.client.updateSandboxResources(sandbox.id, update, this.#signal)
    } catch (error) {
      // Best effort, as kubelet has it: containerd before 2.3 does not know the call, and says so in two ways.
      if (hasCode(error, 'Unsupported') || /not implemented/.test(errorMessage(error))) return
      throw error
    }
  }
}

/** One resource at a time, the other as it was given last. */
async function updateContainer(
  { tools, picture, notes, pod }: PodResize,
  { name, to }: ContainerResize,
  resource: 'cpu' | 'memory',
  signal: AbortSignal,
): Promise<void> {
  const seen = picture.running.find(({ status }) => status.metadata.name === name)
  const container = containerOf(pod, name)
  const last = seen && givenTo(seen, notes)
  // Ended meanwhile: it is given its size when it is made anew.
  if (!last || !container) return
  const given = withOneChanged(sizeOf(last), to, resource)
  // Huge pages cannot be resized: what is said of them stays.
  const limits = { ...container.resources?.limits, ...given.limits }
  const linux = containerResources(pod, { ...container, resources: { ...given, limits } }, tools.machine)
  await tools.client.updateContainerResources(seen.status.id, linux, signal)
  await notes.note(name, seen.status.metadata.attempt, { given })
  await picture.lookAtContainer(seen.status.id, seen.sandboxId, signal)
}

function withOneChanged(
  last: ContainerSize,
  to: ContainerSize,
  resource: 'cpu' | 'memory',
): ResourceRequirements {
  const cpu = resource === 'cpu' ? to : last
  const memory = resource === 'memory' ? to : last
  // A request of nothing is said: what is left out would count as the limit.
  return {
    requests: { cpu: formatCpu(cpu.cpuRequestMillis), memory: formatBytes(memory.memoryRequestBytes) },
    limits: { cpu: formatCpu(cpu.cpuLimitMillis), memory: formatBytes(memory.memoryLimitBytes) },
  }
}

function containerOf({ spec }: Pod, name: string): Container | undefined {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find((one) => one.name === name)
}

/** Memory in use cannot be taken away: the kernel would have to kill for it. Kubelet's check, in its words. */
async function refuseBelowUsage(
  { tools, ref, picture }: PodResize,
  {
    left,
    held,
    wanted,
  }: { readonly left: ResizeActions; readonly held: CpuMemory; readonly wanted: CpuMemory },
  signal: AbortSignal,
): Promise<void> {
  const shrinking = left.memory.filter(
    ({ from, to }) =>
      to.memoryLimitBytes > 0n &&
      (from.memoryLimitBytes === 0n || to.memoryLimitBytes < from.memoryLimitBytes),
  )
  const podShrinks = compareMemory(wanted, held) < 0
  if (shrinking.length === 0 && !podShrinks) return
  const problems: string[] = []
  const refuse = (what: string, limit: bigint, usage: bigint): void => {
    if (usage >= limit) {
      problems.push(`attempting to set ${what} memory limit (${limit}) below current usage (${usage})`)
    }
  }
  if (podShrinks) refuse('pod', wanted.memoryBytes ?? 0n, await tools.cgroups.memoryUsageBytes(ref.uid))
  const { linux } = await tools.client.sandboxStats(picture.current?.id ?? '', signal)
  for (const { name, to } of shrinking) {
    const stats = linux?.containers.find(({ attributes }) => attributes?.metadata.name === name)
    const usage = stats?.memory?.usageBytes
    if (usage) refuse(`container "${name}"`, to.memoryLimitBytes, BigInt(usage.value))
    else problems.push(`missing container "${name}" memory usage`)
  }
  const [first, ...others] = problems
  if (first === undefined) return
  const why = others.length > 0 ? `[${problems.join(', ')}]` : first
  throw new SpillwayError('Rejected', `cannot decrease memory limits: ${why}`)
}
