import { createHash } from 'node:crypto'
import type { Period } from './charges.ts'
import { encodeJson } from './ledger-json.ts'

/** A period's invoice, as it was sealed. */
export interface Seal extends SealDraft {
  /** From 1, without gaps. */
  readonly number: number
  /** The log as of then: the last event that had a part in it, and its hash, which covers all before. */
  readonly head: { readonly seq: number; readonly hash: string }
  /** The seal before; zeros of the first. */
  readonly prevHash: string
  /** Over all of it. */
  readonly hash: string
}

export interface SealDraft {
  /** What was asked for, whole UTC hours, half-open. What lies before and after the last seal is empty. */
  readonly period: Period
  readonly sealedAtMs: number
  /** The draft was made from the log up to here. */
  readonly readUpToSeq: number
  readonly lines: { readonly count: number; readonly hash: string }
  readonly adjustments: { readonly count: number; readonly hash: string }
  /** By currency: rounded lines and adjustments, in nano-units. */
  readonly sums: readonly SealedSum[]
  /** What was not certain and accepted by whoever sealed it. */
  readonly accepted: readonly string[]
}

export interface SealedSum {
  readonly currency: string
  readonly lines: bigint
  readonly adjustments: bigint
  readonly total: bigint
}

/** By hand, since a bigint has no JSON of its own: decimal strings. */
export interface StoredSeal {
  readonly number: number
  readonly head: Seal['head']
  readonly draft: Omit<SealDraft, 'sums'> & {
    readonly sums: readonly Readonly<Record<'currency' | 'lines' | 'adjustments' | 'total', string>>[]
  }
}

export function encodeSeal({ number, head, ...rest }: Omit<Seal, 'prevHash' | 'hash'>): string {
  return encodeJson({ number, head, draft: rest })
}

export function decodeSeal({
  body,
  prevHash,
  hash,
}: {
  readonly body: string
  readonly prevHash: string
  readonly hash: string
}): Seal {
  const { number, head, draft } = JSON.parse(body) as StoredSeal
  const sums = draft.sums.map(({ currency, lines, adjustments, total }) => ({
    currency,
    lines: BigInt(lines),
    adjustments: BigInt(adjustments),
    total: BigInt(total),
  }))
  return { ...draft, sums, number, head, prevHash, hash }
}

export function sealHash(prevHash: string, body: string): string {
  return createHash('sha256')
    .update(`${prevHash.length}:${prevHash}${Buffer.byteLength(body)}:${body}`)
    .digest('hex')
}

/** From where to where each seal bears: what came too late for the empty time between two falls to the later one. */
export function sealedPeriods(seals: readonly Pick<Seal, 'period'>[]): Period[] {
  return seals.map(({ period }, index) => ({
    fromMs: seals[index - 1]?.period.toMs ?? 0,
    toMs: period.toMs,
  }))
}

export function sealedUntil(seals: readonly Pick<Seal, 'period'>[]): number {
  return seals.at(-1)?.period.toMs ?? -Infinity
}
