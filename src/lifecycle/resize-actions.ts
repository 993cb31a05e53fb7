import type { Container, Pod, ResourceRequirements } from '../model/kubernetes.ts'
import { parseBytes, parseCpuMillis } from '../model/quantity.ts'
import { givenResources } from './given-resources.ts'

export interface ResizeActionsInput {
  /** With what was set aside for it. */
  readonly pod: Pod
  /** Of each running container, by name: what it was given last, as `givenResources` has it. */
  readonly given: ReadonlyMap<string, ResourceRequirements>
}

/** How running containers get from the size that they were given to the one that was set aside for them. */
export interface ResizeActions {
  /** Whose policy wants a restart for what changes. They are given the new size by being made anew. */
  readonly restart: readonly string[]
  /** To be carried out in this order: whoever shrinks makes room for whoever grows. */
  readonly memory: readonly ContainerResize[]
  readonly cpu: readonly ContainerResize[]
}

export interface ContainerResize {
  readonly name: string
  readonly from: ContainerSize
  readonly to: ContainerSize
}

/** A limit of 0 is none. */
export interface ContainerSize {
  readonly cpuRequestMillis: bigint
  readonly cpuLimitMillis: bigint
  readonly memoryRequestBytes: bigint
  readonly memoryLimitBytes: bigint
}

/** What kubelet calls computePodResizeAction (kuberuntime_manager.go), for all containers at once. Pure. */
export function resizeActions({ pod, given }: ResizeActionsInput): ResizeActions {
  const restart: string[] = []
  const memory: ContainerResize[] = []
  const cpu: ContainerResize[] = []
  for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
    const { name } = container
    const last = given.get(name)
    if (!last) continue
    const resize = { name, from: sizeOf(last), to: sizeOf(givenResources(pod, container)) }
    const memoryChange = changeOf(resize, 'memoryLimitBytes', 'memoryRequestBytes')
    const cpuChange = changeOf(resize, 'cpuLimitMillis', 'cpuRequestMillis')
    if (
      (memoryChange !== 0 && restarts(container, 'memory')) ||
      (cpuChange !== 0 && restarts(container, 'cpu'))
    ) {
      restart.push(name)
      continue
    }
    addInOrder(memory, resize, memoryChange)
    addInOrder(cpu, resize, cpuChange)
  }
  return { restart, memory, cpu }
}

export function sizeOf({ requests, limits }: ResourceRequirements): ContainerSize {
  return {
    cpuRequestMillis: parseCpuMillis(requests?.['cpu'] ?? '0'),
    cpuLimitMillis: parseCpuMillis(limits?.['cpu'] ?? '0'),
    memoryRequestBytes: parseBytes(requests?.['memory'] ?? '0'),
    memoryLimitBytes: parseBytes(limits?.['memory'] ?? '0'),
  }
}

/** Below 0: it shrinks. The limit counts; where that stays, the request. */
function changeOf(
  { from, to }: ContainerResize,
  limit: keyof ContainerSize,
  request: keyof ContainerSize,
): number {
  const difference = to[limit] - from[limit] || to[request] - from[request]
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

function restarts({ resizePolicy }: Container, resource: 'cpu' | 'memory'): boolean {
  return (
    resizePolicy?.find(({ resourceName }) => resourceName === resource)?.restartPolicy === 'RestartContainer'
  )
}

function addInOrder(list: ContainerResize[], resize: ContainerResize, change: number): void {
  if (change < 0) list.unshift(resize)
  if (change > 0) list.push(resize)
}
