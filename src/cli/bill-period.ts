import { SpillwayError } from '../model/errors.ts'
import { parseDurationOption, parseTimeOption, startOfMonthMs } from './times.ts'

export interface PeriodFlags {
  readonly from?: string
  readonly to?: string
  readonly month?: string
  readonly today?: boolean
  readonly last?: string
}

const dayMs = 86_400_000

/** Wall milliseconds, half-open; without any flag this month up to now. All in UTC. */
export function billPeriod(
  { from, to, month, today, last }: PeriodFlags,
  nowMs: number,
): { readonly fromMs: number; readonly toMs: number } {
  const given = [
    from !== undefined || to !== undefined ? ['--from and --to'] : [],
    month === undefined ? [] : ['--month'],
    today ? ['--today'] : [],
    last === undefined ? [] : ['--last'],
  ].flat()
  if (given.length > 1) {
    throw new SpillwayError(
      'Usage',
      `found ${given.join(' with ')}; allowed: one of --month, --today and --last, or --from and --to`,
    )
  }
  if (month !== undefined) return monthOf(month)
  if (today) return { fromMs: Math.floor(nowMs / dayMs) * dayMs, toMs: nowMs }
  if (last !== undefined) return { fromMs: nowMs - parseDurationOption('--last', last), toMs: nowMs }
  const fromMs = from === undefined ? startOfMonthMs(nowMs) : parseTimeOption('--from', from, nowMs)
  const toMs = to === undefined ? nowMs : parseTimeOption('--to', to, nowMs)
  if (fromMs > toMs) {
    const allowed = `a time after --from (${new Date(fromMs).toISOString()})`
    throw new SpillwayError('Usage', `--to: found ${new Date(toMs).toISOString()}; allowed: ${allowed}`)
  }
  return { fromMs, toMs }
}

function monthOf(text: string): { readonly fromMs: number; readonly toMs: number } {
  const match = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(text)
  if (!match) throw new SpillwayError('Usage', `--month: found "${text}"; allowed: a month as in 2026-11`)
  const [, year, month] = match.map(Number)
  return { fromMs: Date.UTC(year ?? 0, (month ?? 0) - 1), toMs: Date.UTC(year ?? 0, month ?? 0) }
}
