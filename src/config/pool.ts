import type { Taint } from '../model/kubernetes.ts'
import type { PurchaseOption } from '../model/price-book.ts'
import { strictestProfile, type SecurityProfile } from '../model/security-profile.ts'
import { parseBytes, parseCpuMillis } from '../model/quantity.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'
import { virtualNodeTaintKey } from '../model/words.ts'
import type { RawPool } from './pool-schema.ts'
import { labelKeyPattern } from './schema-words.ts'
import { checkCompiledCaps, compileSpendCaps, type SpendCaps } from './spend-caps.ts'

/** A pool as the house uses it: complete. From the configuration file, or from a VirtualNodePool. */
export interface PoolConfig {
  readonly name: string
  readonly replicas: number
  readonly backend: string
  /** Undefined parts: the backend's capacity, split evenly over its nodes. */
  readonly capacity: {
    readonly cpuMillis: bigint | undefined
    readonly memoryBytes: bigint | undefined
    readonly ephemeralStorageBytes: bigint | undefined
    readonly pods: number
  }
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly sandbox: SandboxChoice
  readonly security: SecurityProfile
  readonly untainted: boolean
  readonly priceBook: string
  /** Of Pods that say nothing themselves. */
  readonly purchase: PurchaseOption
  /** Its nodes take no new Pods. */
  readonly cordoned: boolean
  /** And those that are there are evicted. */
  readonly drained: boolean
  readonly drainTimeoutSeconds: number
  readonly autoscale: PoolAutoscale | undefined
  readonly budget: SpendCaps | undefined
}

export interface PoolAutoscale {
  readonly minNodes: number
  readonly maxNodes: number
  readonly sparePercent: number
  readonly idleSeconds: number
}

export const defaultPriceBook = 'tencent-eks-intl-2023-06-30'

/** Of what has passed the schema. */
export function compilePool(raw: RawPool): PoolConfig {
  const { cpu, memory, ephemeralStorage, pods } = raw.capacity ?? {}
  const drained = raw.drained ?? false
  return {
    name: raw.name,
    replicas: raw.replicas ?? 1,
    backend: raw.backend,
    capacity: {
      cpuMillis: cpu === undefined ? undefined : parseCpuMillis(String(cpu)),
      memoryBytes: memory === undefined ? undefined : parseBytes(String(memory)),
      ephemeralStorageBytes:
        ephemeralStorage === undefined ? undefined : parseBytes(String(ephemeralStorage)),
      pods: pods ?? 110,
    },
    labels: raw.labels ?? {},
    taints: raw.taints ?? [],
    sandbox: { byDefault: raw.sandboxHandler, byClass: raw.runtimeClasses ?? {} },
    security: { ...strictestProfile, ...raw.security },
    untainted: raw.untainted ?? false,
    priceBook: raw.priceBook ?? defaultPriceBook,
    purchase: raw.purchase ?? 'on-demand',
    cordoned: drained || (raw.cordoned ?? false),
    drained,
    drainTimeoutSeconds: raw.drainTimeoutSeconds ?? 300,
    autoscale: raw.autoscale && {
      minNodes: raw.autoscale.minNodes ?? Math.min(1, raw.autoscale.maxNodes),
      maxNodes: raw.autoscale.maxNodes,
      sparePercent: raw.autoscale.sparePercent ?? 20,
      idleSeconds: raw.autoscale.idleSeconds ?? 600,
    },
    budget: raw.budget && compileSpendCaps(raw.budget),
  }
}

/** What no schema can see; the rules of the VirtualNodePool's definition say the same to the API server. */
export function checkPool(pool: PoolConfig, backends: readonly string[]): string[] {
  const problems: string[] = []
  if (!backends.includes(pool.backend)) {
    problems.push(`backend: found "${pool.backend}"; allowed: ${backends.join(', ')}`)
  }
  for (const key of Object.keys(pool.labels)) {
    if (new RegExp(labelKeyPattern).test(key)) continue
    problems.push(`labels: found key "${key}"; allowed: label keys, as in example.com/tier`)
  }
  for (const [index, { key, effect }] of pool.taints.entries()) {
    const field = `taints[${index}]`
    if (key === virtualNodeTaintKey) {
      problems.push(`${field}.key: found "${key}"; allowed: others, since this one is built in`)
    }
    if (pool.taints.findIndex((other) => other.key === key && other.effect === effect) < index) {
      problems.push(`${field}: found key "${key}" with effect ${effect} twice; allowed: each once`)
    }
  }
  problems.push(...checkCompiledCaps('budget', pool.budget))
  const { minNodes, maxNodes } = pool.autoscale ?? { minNodes: 0, maxNodes: 0 }
  if (minNodes > maxNodes) {
    problems.push(`autoscale.minNodes: found ${minNodes}; allowed: at most maxNodes, ${maxNodes}`)
  }
  return problems
}
