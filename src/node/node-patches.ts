import { isDeepStrictEqual } from 'node:util'
import type { Node, Taint } from '../model/kubernetes.ts'
import {
  appliedAnnotation,
  backendUnavailableTaintKey,
  ledgerUnavailableTaintKey,
  noSandboxTaintKey,
  retiringAnnotation,
} from '../model/words.ts'
import { conditionsDiffer } from './conditions.ts'
import { appliedKeys, type CordonMark } from './node-object.ts'
import type { NodeStatus } from './node-features.ts'

/** What no Pod can start without. */
export interface Lost {
  readonly backend: boolean
  /** Nothing to make sandboxes by. */
  readonly sandbox: boolean
  readonly ledger: boolean
}

/**
 * The merge patch that brings our labels, annotation and taints to the Node and takes away those of ours that are no
 * longer wanted; undefined when nothing differs. What others put there stays. It carries the version, since the list of
 * taints is written whole. `lost` adds the taints that keep new Pods off.
 */
export function objectPatch(stored: Node, wanted: Node, lost: Lost): object | undefined {
  const applied = readApplied(stored)
  const labels = changes(stored.metadata?.labels, wanted.metadata?.labels, applied.labels)
  const mark = cordonMark(stored, wanted, applied.cordon)
  const annotations = changes(stored.metadata?.annotations, wantedAnnotations(wanted, mark), [
    retiringAnnotation,
  ])
  const taints = mergedTaints(stored, wanted, applied.taints, lost)
  const sameTaints = JSON.stringify(taints) === JSON.stringify(stored.spec?.taints ?? [])
  const cordon = cordonChange(stored, wanted, applied.cordon)
  if (!labels && !annotations && sameTaints && !cordon) return undefined
  return {
    metadata: {
      resourceVersion: stored.metadata?.resourceVersion,
      ...(labels && { labels }),
      ...(annotations && { annotations }),
    },
    ...((!sameTaints || cordon) && { spec: { ...(!sameTaints && { taints }), ...cordon } }),
  }
}

/**
 * Written once when the pool's wish changes, so that a node which people cordon or uncordon by hand stays as they want
 * it; only a node on its way out is kept cordoned. `null` uncordons.
 */
function cordonChange(
  stored: Node,
  wanted: Node,
  before: CordonMark | undefined,
): { unschedulable: true | null } | undefined {
  const want = wanted.spec?.unschedulable ?? false
  const is = stored.spec?.unschedulable ?? false
  const retiring = wanted.metadata?.annotations?.[retiringAnnotation] === 'true'
  if (want && !is && (retiring || !before)) return { unschedulable: true }
  return !want && is && before === 'ours' ? { unschedulable: null } : undefined
}

function cordonMark(stored: Node, wanted: Node, before: CordonMark | undefined): CordonMark | undefined {
  if (!wanted.spec?.unschedulable) return undefined
  return before ?? (stored.spec?.unschedulable ? 'theirs' : 'ours')
}

function wantedAnnotations(wanted: Node, cordon: CordonMark | undefined): Strings {
  const keys = appliedKeys(wanted.metadata?.labels ?? {}, wanted.spec?.taints ?? [], cordon)
  return { ...wanted.metadata?.annotations, [appliedAnnotation]: keys }
}

type Strings = Readonly<Record<string, string>>

/** `null` removes. */
function changes(
  stored: Strings = {},
  wanted: Strings = {},
  ours: readonly string[],
): Record<string, string | null> | undefined {
  const entries: [string, string | null][] = Object.entries(wanted).filter(
    ([key, value]) => stored[key] !== value,
  )
  for (const key of ours) if (key in stored && !(key in wanted)) entries.push([key, null])
  return entries.length > 0 ? Object.fromEntries(entries) : undefined
}

function mergedTaints(stored: Node, wanted: Node, ours: readonly string[], lost: Lost): Taint[] {
  const passing = [
    ...(lost.backend ? [backendUnavailableTaintKey] : []),
    ...(lost.sandbox ? [noSandboxTaintKey] : []),
    ...(lost.ledger ? [ledgerUnavailableTaintKey] : []),
  ].map((key): Taint => ({ key, effect: 'NoSchedule' }))
  const want = [...(wanted.spec?.taints ?? []), ...passing]
  const mine = new Set([
    ...ours,
    backendUnavailableTaintKey,
    noSandboxTaintKey,
    ledgerUnavailableTaintKey,
    ...want.map(({ key }) => key),
  ])
  const isWanted = (taint: Taint): boolean => want.some((other) => sameTaint(taint, other))
  const kept = (stored.spec?.taints ?? []).filter((taint) => !mine.has(taint.key) || isWanted(taint))
  const missing = want.filter((taint) => !kept.some((other) => sameTaint(taint, other)))
  return [...kept, ...missing]
}

function sameTaint(a: Taint, b: Taint): boolean {
  return a.key === b.key && a.effect === b.effect && (a.value ?? '') === (b.value ?? '')
}

/** A broken annotation counts as empty: then what a pool drops stays, and nothing of others' is taken away. */
interface Applied {
  readonly labels: readonly string[]
  readonly taints: readonly string[]
  readonly cordon: CordonMark | undefined
}

function readApplied({ metadata }: Node): Applied {
  const strings = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  try {
    const applied = JSON.parse(metadata?.annotations?.[appliedAnnotation] ?? '{}') as Record<
      string,
      unknown
    > | null
    const cordon = applied?.['cordon']
    return {
      labels: strings(applied?.['labels']),
      taints: strings(applied?.['taints']),
      cordon: cordon === 'ours' || cordon === 'theirs' ? cordon : undefined,
    }
  } catch {
    return { labels: [], taints: [], cordon: undefined }
  }
}

/** Nobody else writes in these, and what is no longer true must go. */
const wholeFields = ['features', 'runtimeHandlers', 'declaredFeatures'] as const

/** Whether the stored status lacks something of ours; heartbeats alone do not count. */
export function statusDiffers(stored: NodeStatus | undefined, wanted: NodeStatus): boolean {
  if (conditionsDiffer(wanted.conditions ?? [], stored?.conditions ?? [])) return true
  if (wholeFields.some((field) => differsWhole(stored?.[field], wanted[field]))) return true
  return (['capacity', 'allocatable', 'addresses', 'daemonEndpoints', 'nodeInfo'] as const).some(
    (field) => !includes(stored?.[field], wanted[field]) || hasMore(stored?.[field], wanted[field], field),
  )
}

/** The API server keeps no empty list. What we say nothing of is left as it is. */
function differsWhole(stored: unknown, wanted: unknown): boolean {
  if (wanted === undefined) return false
  return !isDeepStrictEqual(stored ?? (Array.isArray(wanted) ? [] : {}), wanted)
}

/** Amounts that are ours alone: a resource that the pool no longer offers must go. Others may add to the rest. */
function hasMore(stored: unknown, wanted: unknown, field: string): boolean {
  if (field !== 'capacity' && field !== 'allocatable') return false
  return Object.keys(stored ?? {}).some((key) => !(key in (wanted as object)))
}

/** Every field of `wanted` is in `stored` with that value: the API server adds fields that we do not know. */
function includes(stored: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return stored === wanted
  if (typeof stored !== 'object' || stored === null) return Object.keys(wanted).length === 0
  return Object.entries(wanted).every(([key, value]) =>
    includes((stored as Record<string, unknown>)[key], value),
  )
}

/**
 * The strategic merge patch of the status: conditions and addresses are merged by type, so others' stay; resources
 * that the pool no longer offers are removed by name.
 */
export function statusPatch(stored: NodeStatus | undefined, wanted: NodeStatus): object {
  const removed = (field: 'capacity' | 'allocatable'): Record<string, null> =>
    Object.fromEntries(
      Object.keys(stored?.[field] ?? {})
        .filter((key) => !(key in (wanted[field] ?? {})))
        .map((key) => [key, null]),
    )
  return {
    status: {
      ...wanted,
      capacity: { ...wanted.capacity, ...removed('capacity') },
      allocatable: { ...wanted.allocatable, ...removed('allocatable') },
    },
  }
}
