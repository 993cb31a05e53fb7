import type { LabelSelector } from '../model/kubernetes.ts'
import {
  burstPolicySpecSchema,
  clusterBurstPolicySpecSchema,
  type RawBurstSpec,
  type RawSelector,
  weekDays,
} from './burst-policy-schema.ts'
import { labelKeyPattern } from './schema-words.ts'
import { checkSpendCaps, compileSpendCaps, type SpendCaps } from './spend-caps.ts'
import { validate } from './validate.ts'

export type BurstMode = 'Auto' | 'Never' | 'Always'

/** In one time zone, from the first minute to before the last. */
export interface QuietWindow {
  /** 0 is Monday. */
  readonly days: readonly number[]
  readonly fromMinute: number
  /** Up to 24 × 60; smaller than `fromMinute`: of the next day. */
  readonly toMinute: number
  readonly timeZone: string
  /** As it was written: `22:00–06:00 Europe/Berlin`. */
  readonly text: string
}

/** What differs from the configuration; undefined: as there. */
export interface MoveBackWishes {
  readonly enabled: boolean
  readonly afterSeconds: number | undefined
  readonly reservePercent: number | undefined
  readonly giveUpAfterSeconds: number | undefined
}

/** A spec as the house uses it: complete. */
export interface BurstSpec {
  /** Undefined: every namespace that the policy can be about. */
  readonly namespaceSelector: LabelSelector | undefined
  /** Undefined: all Pods. */
  readonly podSelector: LabelSelector | undefined
  readonly mode: BurstMode
  readonly waitSeconds: number
  readonly maxVirtualReplicas: number | undefined
  readonly minServerReplicas: number
  /** Undefined: all pools, in their own order. */
  readonly pools: readonly string[] | undefined
  readonly spend: SpendCaps | undefined
  readonly quietHours: readonly QuietWindow[]
  readonly scaleIn: 'VirtualFirst' | 'None'
  readonly moveBack: MoveBackWishes | undefined
}

export type BurstPolicyKind = 'BurstPolicy' | 'ClusterBurstPolicy'

export type CompiledBurstSpec =
  | { readonly ok: true; readonly spec: BurstSpec }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Reads a spec; all that is wrong with it at once: the field, what was found, what is allowed. */
export function compileBurstSpec(kind: BurstPolicyKind, raw: unknown): CompiledBurstSpec {
  const schema = kind === 'BurstPolicy' ? burstPolicySpecSchema : clusterBurstPolicySpecSchema
  const misfits = validate(schema, raw, 'spec')
  if (misfits.length > 0) return { ok: false, problems: misfits }
  const spec = raw as RawBurstSpec
  const problems = checkBurstSpec(spec).map((problem) => `spec.${problem}`)
  return problems.length > 0 ? { ok: false, problems } : { ok: true, spec: compile(spec) }
}

function compile(raw: RawBurstSpec): BurstSpec {
  return {
    namespaceSelector: selector(raw.namespaceSelector),
    podSelector: selector(raw.podSelector),
    mode: raw.mode ?? 'Auto',
    waitSeconds: raw.waitSeconds ?? 0,
    maxVirtualReplicas: raw.maxVirtualReplicas,
    minServerReplicas: raw.minServerReplicas ?? 0,
    pools: raw.pools,
    spend: raw.spend && compileSpendCaps(raw.spend),
    quietHours: (raw.quietHours ?? []).map(quietWindow),
    scaleIn: raw.scaleIn ?? 'VirtualFirst',
    moveBack: raw.moveBack && {
      enabled: raw.moveBack.enabled ?? true,
      afterSeconds: raw.moveBack.afterSeconds,
      reservePercent: raw.moveBack.reservePercent,
      giveUpAfterSeconds: raw.moveBack.giveUpAfterSeconds,
    },
  }
}

function selector(raw: RawSelector | undefined): LabelSelector | undefined {
  if (!raw) return undefined
  const { matchLabels, matchExpressions } = raw
  return {
    ...(matchLabels && { matchLabels }),
    ...(matchExpressions && { matchExpressions }),
  }
}

type RawQuietWindow = NonNullable<RawBurstSpec['quietHours']>[number]

function quietWindow({ days, from, to, timeZone = 'UTC' }: RawQuietWindow): QuietWindow {
  return {
    days: (days ?? weekDays).map((day) => weekDays.indexOf(day)),
    fromMinute: minuteOf(from),
    toMinute: minuteOf(to),
    timeZone,
    text: `${days ? `${days.join(', ')} ` : ''}${from}–${to} ${timeZone}`,
  }
}

function minuteOf(text: string): number {
  const [hours = '0', minutes = '0'] = text.split(':')
  return Number(hours) * 60 + Number(minutes)
}

/** What no schema can see; the rules of the definitions say the same to the API server. */
function checkBurstSpec(spec: RawBurstSpec): string[] {
  return [
    ...checkSelector('namespaceSelector', spec.namespaceSelector),
    ...checkSelector('podSelector', spec.podSelector),
    ...twice('pools', spec.pools ?? []),
    ...checkSpendCaps('spend', spec.spend),
    ...(spec.quietHours ?? []).flatMap((window, index) => checkQuietWindow(`quietHours[${index}]`, window)),
  ]
}

function checkSelector(field: string, raw: RawSelector | undefined): string[] {
  const { matchLabels = {}, matchExpressions = [] } = raw ?? {}
  const keys = Object.keys(matchLabels)
    .filter((key) => key.length > 317 || !new RegExp(labelKeyPattern).test(key))
    .map((key) => `${field}.matchLabels: found key "${key}"; allowed: label keys, as in example.com/tier`)
  const requirements = matchExpressions.flatMap(({ operator, values = [] }, index) => {
    const wants = operator === 'In' || operator === 'NotIn'
    if (wants === values.length > 0) return []
    const found = `operator ${operator} with${wants ? 'out' : ''} values`
    return [
      `${field}.matchExpressions[${index}]: found ${found}; allowed: values with In and NotIn, none with Exists and DoesNotExist`,
    ]
  })
  return [...keys, ...requirements]
}

function checkQuietWindow(field: string, { days = [], from, to, timeZone }: RawQuietWindow): string[] {
  const problems = twice(`${field}.days`, days)
  if (from === to) {
    problems.push(`${field}: found from and to ${from}; allowed: two different times, as in 00:00 and 24:00`)
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    problems.push(`${field}.timeZone: found "${timeZone}"; allowed: IANA names, as in Europe/Berlin`)
  }
  return problems
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function twice(field: string, values: readonly string[]): string[] {
  return values
    .filter((value, index) => values.indexOf(value) < index)
    .map((value) => `${field}: found "${value}" twice; allowed: each once`)
}
