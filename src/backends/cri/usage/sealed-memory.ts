import type { ContainerUsage, MemoryUsage, PodUsage } from '../../../model/pod-usage.ts'

/**
 * The memory of a gVisor Pod's containers: the machine's kernel counts the Pod as a whole, in parts as runsc sees them.
 * runsc's own numbers say another thing: with what its kernel has cached for all, and without volumes in memory. Pod's
 * and containers' would not fit together, and `kubectl top` adds up the containers'. Pure.
 */
export function withKernelMemory(pod: PodUsage): PodUsage {
  const { memory, containers } = pod
  if (!memory) return pod
  const counted = containers.filter((one) => one.memory)
  const weights = counted.map((one) => one.memory?.workingSetBytes ?? 0n)
  const usage = parts(memory.usageBytes, weights)
  const workingSet = parts(memory.workingSetBytes, weights)
  return {
    ...pod,
    containers: containers.map((one): ContainerUsage => {
      const index = counted.indexOf(one)
      if (index < 0) return one
      const [usageBytes, workingSetBytes] = [usage?.[index], workingSet?.[index]]
      const own: MemoryUsage = {
        atMs: memory.atMs,
        ...(usageBytes !== undefined && { usageBytes }),
        ...(workingSetBytes !== undefined && { workingSetBytes }),
      }
      return { ...one, memory: own }
    }),
  }
}

/** That add up to the whole; alike where nobody weighs anything. */
function parts(whole: bigint | undefined, weights: readonly bigint[]): readonly bigint[] | undefined {
  if (whole === undefined) return undefined
  const sum = weights.reduce((total, weight) => total + weight, 0n)
  const shares = sum > 0n ? weights : weights.map(() => 1n)
  const all = sum > 0n ? sum : BigInt(weights.length)
  let given = 0n
  return shares.map((share, index) => {
    const part = index === shares.length - 1 ? whole - given : (whole * share) / all
    given += part
    return part
  })
}
