import { createHash } from 'node:crypto'
import { assertNever } from './assert.ts'
import { controllerOf } from './controller-of.ts'
import type { Pod } from './kubernetes.ts'
import type { PodUid } from './pod-key.ts'
import { podRef } from './pod-key.ts'
import type { Demand, Spec } from './spec.ts'

/**
 * What the ledger records. A fact is about one sandbox of one Pod (Pod UID, incarnation), except INTENT and VOIDED
 * without a generation, which are about the Pod and carry incarnation 0. Resizes are the Pod's too, whichever sandbox it
 * had when they were written down.
 *
 *     INTENT → OPENED → (RESIZING → RESIZED)* → STOPPING → CLOSED        INTENT → VOIDED
 */
export type UsageFact =
  /** Durable before the backend is asked to start anything. */
  | {
      readonly kind: 'INTENT'
      readonly pod: BilledPod
      readonly terms: BillingTerms
      /** `metadata.generation` of the Pod that the terms were made for. */
      readonly generation?: number
    }
  /** The sandbox exists: resources are held from `atMs` on. The names are for a Pod whose INTENT was lost. */
  | {
      readonly kind: 'OPENED'
      readonly sandboxId: string
      readonly pod: UnknownPod
      /** The backend's own number of it, where that is another: it lost all once, and counts from 0 again. */
      readonly attempt?: number
    }
  /** Before the call that resizes. Counts once RESIZED (billing/resizes.ts says from when); VOIDED withdraws it. */
  | { readonly kind: 'RESIZING'; readonly generation: number; readonly terms: BillingTerms }
  /** All of it is in effect since `atMs`, by the backend. */
  | { readonly kind: 'RESIZED'; readonly generation: number }
  /**
   * It was still there at `atMs`: bounds what is lost when all evidence goes. `bucket` tells two of a sandbox apart: it is
   * the instant; in what was written before heartbeats were kept in place, its second.
   */
  | { readonly kind: 'OBSERVED'; readonly bucket: number }
  | { readonly kind: 'STOPPING'; readonly reason: string }
  | { readonly kind: 'CLOSED'; readonly confidence: Confidence; readonly reason: string }
  /** With `generation`: that resize was refused. Without: the Pod never started. */
  | { readonly kind: 'VOIDED'; readonly reason: string; readonly generation?: number }
  /** A correction in money, by someone who states why. `reference` keeps a repeated one from counting twice. */
  | {
      readonly kind: 'ADJUSTED'
      readonly reference: string
      readonly reason: string
      /** A decimal string, negative for a credit. */
      readonly amount: string
      readonly currency: string
      /** Who answers for it. Absent: Spillway itself. */
      readonly author?: string
      /** What a bill calls it by. Absent: as its Pod is called, which changes when a Pod becomes known only later. */
      readonly about?: AdjustedThing
      /** What became known too late: the difference that it makes to a sealed period. */
      readonly corrects?: Correction
    }

/** Frozen with the adjustment, so that what becomes known later renames nothing in a sealed bill. */
export interface AdjustedThing {
  readonly namespace: string
  /** `Deployment/web`; empty when a whole namespace is meant. */
  readonly workload: string
  readonly pod: string
  readonly pool: string
}

export interface Correction {
  /** The sealed period, half-open. */
  readonly fromMs: number
  readonly toMs: number
  /** Id of the event that came too late. */
  readonly causedBy: string
  readonly quantities: Quantities
}

export type UsageKind = UsageFact['kind']

/**
 * How well an end is known, best last: `estimated` from the last time it was seen, `recorded` from our own durable
 * STOPPING when no container ever ran, `exact` from the backend's time of the last container's end.
 */
export const confidences = ['estimated', 'recorded', 'exact'] as const
export type Confidence = (typeof confidences)[number]

export interface UsageEvent {
  readonly id: string
  readonly clusterUid: string
  readonly podUid: PodUid
  /** Number of the sandbox, from 0. */
  readonly incarnation: number
  /** When it was so, by the clock that `source` names. */
  readonly atMs: number
  /** When we came to know. */
  readonly observedMs: number
  readonly source: 'backend' | 'spillway' | 'person'
  readonly fact: UsageFact
}

/** The Pod as bills name it, frozen when it was let in: labels and owners change, what was billed does not. */
export interface BilledPod {
  readonly clusterUid: string
  readonly uid: PodUid
  readonly namespace: string
  readonly name: string
  readonly workload: Workload
  readonly pool: string
  readonly node: string
  readonly labels: Readonly<Record<string, string>>
}

export interface Workload {
  /** `Deployment`, `StatefulSet`, `Job`, …; `Pod` when nothing controls it. */
  readonly kind: string
  readonly name: string
}

/** What a backend still knows of a Pod whose object nobody has. */
export interface UnknownPod {
  readonly namespace: string
  readonly name: string
  readonly node: string
}

/** By which book, and at which size, a Pod is billed. */
export interface BillingTerms {
  readonly priceBook: string
  readonly spec: Spec
  readonly demand: Demand
  /** How the demand became the size, sentence by sentence. */
  readonly steps: readonly string[]
}

/** Resources times milliseconds. */
export interface Quantities {
  readonly cpuMilliMs: bigint
  readonly memoryMiBMs: bigint
  readonly gpuMs: bigint
}

/**
 * sha256 over the length-prefixed tuple: the same fact has the same id for ever, so a repetition is harmless. Joined
 * by a separator instead, ("a-b","c") and ("a","b-c") would be one.
 */
export function eventId(event: Omit<UsageEvent, 'id' | 'atMs' | 'observedMs' | 'source'>): string {
  const { clusterUid, podUid, incarnation, fact } = event
  const hash = createHash('sha256')
  for (const part of [clusterUid, podUid, String(incarnation), fact.kind, ordinalOf(fact)]) {
    hash.update(`${Buffer.byteLength(part)}:${part}`)
  }
  return hash.digest('hex')
}

/** What tells apart two facts of one kind about one sandbox. From the source, never a counter of ours. */
function ordinalOf(fact: UsageFact): string {
  switch (fact.kind) {
    case 'INTENT':
    case 'OPENED':
    case 'STOPPING':
      return ''
    case 'RESIZING':
    case 'RESIZED':
      return String(fact.generation)
    case 'OBSERVED':
      return String(fact.bucket)
    case 'CLOSED':
      return fact.confidence
    case 'VOIDED':
      return fact.generation === undefined ? '' : String(fact.generation)
    case 'ADJUSTED':
      return fact.reference
    default:
      return assertNever(fact, 'usage fact')
  }
}

export function usageEvent(event: Omit<UsageEvent, 'id'>): UsageEvent {
  return { ...event, id: eventId(event) }
}

export function quantities(spec: Spec, durationMs: number): Quantities {
  const ms = BigInt(durationMs)
  return { cpuMilliMs: spec.cpuMillis * ms, memoryMiBMs: spec.memoryMiB * ms, gpuMs: spec.gpus * ms }
}

export const noQuantities: Quantities = { cpuMilliMs: 0n, memoryMiBMs: 0n, gpuMs: 0n }

export function addQuantities(a: Quantities, b: Quantities): Quantities {
  return {
    cpuMilliMs: a.cpuMilliMs + b.cpuMilliMs,
    memoryMiBMs: a.memoryMiBMs + b.memoryMiBMs,
    gpuMs: a.gpuMs + b.gpuMs,
  }
}

export interface BilledPodOptions {
  readonly clusterUid: string
  readonly pool: string
  readonly node: string
  /** Names of the labels that are kept, or all of them. */
  readonly labels: readonly string[] | 'all'
}

export function billedPod(pod: Pod, { clusterUid, pool, node, labels }: BilledPodOptions): BilledPod {
  const kept: Record<string, string> = labels === 'all' ? { ...pod.metadata?.labels } : {}
  for (const name of labels === 'all' ? [] : labels) {
    const value = pod.metadata?.labels?.[name]
    if (value !== undefined) kept[name] = value
  }
  return { ...podRef(pod), clusterUid, workload: workloadOf(pod), pool, node, labels: kept }
}

/**
 * The controller that people know. A ReplicaSet of a Deployment is named after it and the Pod's template hash, so the
 * name tells without a read of the ReplicaSet, which may be gone by then.
 */
export function workloadOf(pod: Pod): Workload {
  const owner = controllerOf(pod)
  if (!owner) return { kind: 'Pod', name: pod.metadata?.name ?? '' }
  const hash = pod.metadata?.labels?.['pod-template-hash']
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) }
  }
  return { kind: owner.kind, name: owner.name }
}
