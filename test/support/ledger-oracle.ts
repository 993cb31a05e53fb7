import { chargeLines } from '../../src/billing/charges.ts'
import type { UsageInterval } from '../../src/billing/projection.ts'
import { parseRational } from '../../src/model/money.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { exactLines, oneUnit, type HeldLife } from './exact-charges.ts'
import { nanosOf } from './sealed-oracle.ts'
import { heartbeatMs, lookMs, type PodLife, type Told } from './ledger-history.ts'
import type { TrueSandbox, TrueSpec } from './ledger-world.ts'

/**
 * What a Pod's true life comes to, and where the ledger says otherwise, sentence by sentence. Where the backend could
 * still tell, they agree to the millisecond; where it could not, the ledger says `estimated`, and is a heartbeat off at
 * most from the last time that anybody could have known.
 */
export function disagreements(
  life: PodLife,
  found: readonly UsageInterval[],
  { begun, book }: { readonly begun: TrueSpec; readonly book: PriceBook },
): string[] {
  const sizes = trueSizes(life, begun)
  const problems = life.world.sandboxes.flatMap((sandbox, index) => {
    const interval = found.find(({ sandboxId }) => sandboxId === sandbox.id)
    if (!interval) return wasSeen(life, sandbox) ? [`${sandbox.id} is not billed`] : []
    const wrong = endProblems(life, index, interval)
    return wrong.length > 0 ? wrong : lineProblems(interval, sizes, book)
  })
  const real = new Set(life.world.sandboxes.map(({ id }) => id))
  const invented = found.filter(({ sandboxId }) => !real.has(sandboxId))
  return [...problems, ...invented.map(({ sandboxId }) => `${sandboxId} never was`)]
}

/** By currency, nano-units: what the true sizes cost over the time of each interval, and what people credited. */
export function trueCost(
  life: PodLife,
  found: readonly UsageInterval[],
  { begun, book }: { readonly begun: TrueSpec; readonly book: PriceBook },
): Record<string, bigint> {
  const sizes = trueSizes(life, begun)
  let nanos = life.creditedNanos
  for (const { startMs, endMs = startMs } of found) {
    for (const { amount } of exactLines({ startMs, endMs, sizes }, book)) nanos += nanosOf(amount, book)
  }
  return nanos === 0n ? {} : { [book.currency]: nanos }
}

/** One that was dead when it was seen first, and in which nothing had run, has no time that anybody knows. */
function wasSeen(life: PodLife, { id }: TrueSandbox): boolean {
  return life.told.some(
    ({ observed: { sandbox, containers } }) =>
      sandbox?.id === id && (sandbox.ready || containers.some(({ state }) => state.kind !== 'waiting')),
  )
}

interface TrueEnd {
  readonly confidence: 'exact' | 'recorded' | 'estimated'
  readonly fromMs: number
  readonly toMs: number
}

function endProblems(life: PodLife, index: number, interval: UsageInterval): string[] {
  const { sandboxId, startMs, endMs, confidence } = interval
  const sandbox = life.world.sandboxes[index]
  const expected = trueEnd(life, index)
  const said = `${sandboxId}: ends at ${endMs} (${confidence})`
  if (startMs !== sandbox?.createdMs)
    return [`${sandboxId}: starts at ${startMs}, truly ${sandbox?.createdMs}`]
  if (endMs === undefined) return [`${sandboxId} is still open`]
  const allowed = [expected]
  const own = life.told.filter(({ observed }) => observed.sandbox?.id === sandbox.id)
  // By a clock that was set back under way, and wrong when it began or told old news, the meter says that it does not know.
  if (life.wasSetBack && (life.stale.length > 0 || life.mostSkewMs > 0 || isPaused(life, sandbox)))
    allowed.push(confused(life, sandbox))
  // Told only of a later one than the next, it cannot know in which of the two a container ran.
  if (isFollowedUnseen(life, index)) {
    const end = estimated(life, sandbox, own)
    // And told that this one was still there when it was not, it takes a container of the next for one of this.
    const isMisled = life.stale.some(({ observed }) => observed.sandbox?.id === sandbox.id)
    const toMs = Math.max(end.toMs, life.world.sandboxes[index + 1]?.lostMs ?? end.toMs)
    allowed.push(end, ...(isMisled ? [{ ...end, toMs, confidence: 'exact' as const }] : []))
  }
  const isAllowed = allowed.some(
    (end) => end.confidence === confidence && end.fromMs <= endMs && endMs <= end.toMs,
  )
  return isAllowed ? [] : [`${said}, truly ${JSON.stringify(allowed)}`]
}

/**
 * Without a container for longer than any back-off lasts: such a Pod looks as one whose backend's clock was set back. The
 * last container may have been in an earlier sandbox.
 */
function isPaused({ told, world }: PodLife, { id }: TrueSandbox): boolean {
  const lastMs = told.findLast(({ observed: { sandbox } }) => sandbox?.id === id && sandbox.ready)?.trueMs
  if (lastMs === undefined) return false
  const begun = world.sandboxes.flatMap(({ runs }) => runs).filter(({ startedMs }) => startedMs <= lastMs)
  return lastMs - (begun.at(-1)?.finishedMs ?? lastMs) > 600_000
}

function isFollowedUnseen(life: PodLife, index: number): boolean {
  const next = life.world.sandboxes[index + 1]
  return next !== undefined && !life.told.some(({ observed: { sandbox } }) => sandbox?.id === next.id)
}

function trueEnd(life: PodLife, index: number): TrueEnd {
  const { sandboxes } = life.world
  const sandbox = sandboxes[index] as TrueSandbox
  const own = life.told.filter(({ observed }) => observed.sandbox?.id === sandbox.id)
  const lastRunMs = sandbox.runs.at(-1)?.finishedMs
  const ended = own.filter(({ observed }) => observed.phase === 'stopped')
  if (ended.length > 0 && lastRunMs !== undefined) return exactly(lastRunMs)
  if (ended.length > 0) return recorded(life, index, ended)
  const laterIds = new Set(sandboxes.slice(index + 1).map(({ id }) => id))
  const next = life.told.find(({ observed }) => laterIds.has(observed.sandbox?.id ?? ''))
  const shown = next?.observed.containers.flatMap(({ state, lastTerminated }) => [state, lastTerminated])
  const isShown = shown?.some((state) => state?.kind === 'terminated' && state.finishedAtMs === lastRunMs)
  if (isShown && lastRunMs !== undefined) return exactly(lastRunMs)
  return estimated(life, sandbox, own)
}

function exactly(atMs: number): TrueEnd {
  return { confidence: 'exact', fromMs: atMs, toMs: atMs }
}

/** Nothing ever ran: until its end was asked for, or was seen, by the meter's own clock. */
function recorded(life: PodLife, index: number, ended: readonly Told[]): TrueEnd {
  const startMs = life.world.sandboxes[index]?.createdMs ?? 0
  const asked = life.stoppings.filter(({ sandboxes }) => sandboxes === index + 1)
  const times = [...asked.map(({ atMs }) => atMs), ...ended.slice(0, 1).map(({ meterMs }) => meterMs)]
  const atMs = Math.max(startMs, times[0] ?? startMs)
  return { confidence: 'recorded', fromMs: atMs, toMs: atMs }
}

/** Not before the last thing that is known of it, nor after the last time that anybody told of it. */
function confused(
  { told, stale, stoppings, mostSkewMs }: PodLife,
  { id, createdMs, runs }: TrueSandbox,
): TrueEnd {
  const own = [...told, ...stale].filter(({ observed: { sandbox } }) => sandbox?.id === id)
  const times = [...own.map(({ trueMs }) => trueMs), ...stoppings.map(({ atMs }) => atMs)]
  const fromMs = Math.max(createdMs, runs.at(-1)?.finishedMs ?? createdMs)
  return { confidence: 'estimated', fromMs, toMs: Math.max(fromMs, ...times) + 2 * mostSkewMs }
}

/** By how much a clock was wrong that the meter began with, it may be wrong; no other step of it counts. */
function estimated({ mostSkewMs, stale }: PodLife, sandbox: TrueSandbox, own: readonly Told[]): TrueEnd {
  const alive = own.filter(({ observed }) => observed.sandbox?.ready)
  const lastMs = alive.at(-1)?.trueMs ?? sandbox.createdMs
  const wrongly = stale
    .filter(({ observed }) => observed.sandbox?.id === sandbox.id && observed.sandbox.ready)
    .map(({ trueMs }) => trueMs)
  const isRegular = sandbox.lostMs - lastMs <= lookMs
  const leastMs = (isRegular ? sandbox.lostMs : lastMs) - heartbeatMs
  return {
    confidence: 'estimated',
    fromMs: Math.max(sandbox.createdMs, leastMs - 2 * mostSkewMs),
    // Who is told that it is still there cannot know better.
    toMs: Math.max(sandbox.lostMs, ...wrongly) + 2 * mostSkewMs,
  }
}

/** More is billed from when it was asked for, less from when it was given back; each once the backend could tell. */
function trueSizes(life: PodLife, begun: TrueSpec): HeldLife['sizes'] {
  const sizes = [{ fromMs: -Infinity, spec: begun }]
  for (const resize of life.resized.toSorted((a, b) => a.generation - b.generation)) {
    const { generation, askedMs, doneMs, spec } = resize
    const isTold = [...life.told, ...life.toldSizes].some(
      ({ observed: { allocation } }) =>
        allocation?.generation === generation && allocation.inEffectAtMs !== undefined,
    )
    const before = sizes.at(-1)
    if (doneMs === Infinity || !isTold || !before) continue
    const isLess = spec.cpuMillis < before.spec.cpuMillis || spec.memoryMiB < before.spec.memoryMiB
    const fromMs = isLess || resize.begun ? doneMs : Math.min(askedMs, doneMs)
    sizes.push({ fromMs: Math.max(fromMs, before.fromMs), spec })
  }
  return sizes
}

function lineProblems(interval: UsageInterval, sizes: HeldLife['sizes'], book: PriceBook): string[] {
  const { startMs, endMs = startMs, sandboxId } = interval
  const lines = chargeLines(interval, book, { nowMs: endMs })
  const ours = new Map(
    lines.map((line) => [`${line.sku ?? null} ${line.resource} ${line.hourMs}`, line.exact]),
  )
  const problems: string[] = []
  for (const { sku, resource, hourMs, amount } of exactLines({ startMs, endMs, sizes }, book)) {
    const key = `${sku} ${resource} ${hourMs}`
    const { num, den } = parseRational(ours.get(key) ?? '-1/1')
    if (num * oneUnit !== amount * den)
      problems.push(`${sandboxId}: ${key}: ${ours.get(key)}, truly ${amount}/${oneUnit}`)
    ours.delete(key)
  }
  return [...problems, ...[...ours.keys()].map((key) => `${sandboxId}: ${key} is billed for nothing`)]
}
