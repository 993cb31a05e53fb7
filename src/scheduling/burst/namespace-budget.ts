import { compileSpendCaps, spendPeriods, type SpendCaps, type SpendPeriod } from '../../config/spend-caps.ts'
import type { Namespace } from '../../model/kubernetes.ts'
import { budgetAnnotations } from '../../model/words.ts'

/** What a namespace says it may cost. Undefined caps with problems: it says something that cannot be read. */
export interface NamespaceBudget {
  readonly caps: SpendCaps | undefined
  /** The annotation, what was found, what is allowed. */
  readonly problems: readonly string[]
}

const fieldOf: Readonly<Record<SpendPeriod, 'perHour' | 'perDay' | 'perMonth'>> = {
  hour: 'perHour',
  day: 'perDay',
  month: 'perMonth',
}

/** By object: namespaces are asked about at every look, and seldom change. */
const read = new WeakMap<Namespace, NamespaceBudget | undefined>()

/**
 * The budget in the annotations of a Namespace; undefined: it has none. Annotations and not a kind of ours, since whoever
 * may write in a namespace (the roles `admin` and `edit`) must not be able to raise it, and may not change the Namespace;
 * and not the configuration file, since namespaces come and go without a restart.
 */
export function namespaceBudget(home: Namespace): NamespaceBudget | undefined {
  if (!read.has(home)) read.set(home, readBudget(home.metadata?.annotations ?? {}))
  return read.get(home)
}

function readBudget(annotations: Readonly<Record<string, string>>): NamespaceBudget | undefined {
  const problems: string[] = []
  const amounts: { perHour?: string; perDay?: string; perMonth?: string } = {}
  const currencies = new Set<string>()
  for (const period of spendPeriods) {
    const key = budgetAnnotations[period]
    const text = annotations[key]
    if (text === undefined) continue
    const match = /^(\d{1,12}(?:\.\d{1,9})?) ([A-Z]{3})$/.exec(text)
    if (!match) problems.push(`${key}: found "${text}"; allowed: an amount and a currency, as in "10.50 USD"`)
    amounts[fieldOf[period]] = match?.[1] ?? '0'
    if (match?.[2] !== undefined) currencies.add(match[2])
  }
  const others = [budgetAnnotations.warnAtPercent, budgetAnnotations.atCap].filter(
    (key) => annotations[key] !== undefined,
  )
  if (Object.keys(amounts).length === 0 && others.length === 0) return undefined
  if (currencies.size > 1) {
    problems.push(
      `${budgetAnnotations.hour} and its like: found ${[...currencies].join(' and ')}; allowed: one currency`,
    )
  }
  const warnAtPercent = percentOf(annotations[budgetAnnotations.warnAtPercent], problems)
  const atCap = actionOf(annotations[budgetAnnotations.atCap], problems)
  const [currency = ''] = currencies
  const caps = compileSpendCaps({
    currency,
    ...amounts,
    ...(warnAtPercent !== undefined && { warnAtPercent }),
    ...(atCap && { atCap }),
  })
  if (problems.length === 0 && Object.keys(amounts).length === 0) {
    const { hour, day, month } = budgetAnnotations
    problems.push(`budget annotations: found no cap; allowed: at least one of ${hour}, ${day} and ${month}`)
  }
  return { caps: problems.length > 0 ? undefined : caps, problems }
}

function percentOf(text: string | undefined, problems: string[]): number | undefined {
  if (text === undefined) return undefined
  const percent = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (percent >= 1 && percent <= 100) return percent
  problems.push(`${budgetAnnotations.warnAtPercent}: found "${text}"; allowed: 1 to 100`)
  return undefined
}

function actionOf(text: string | undefined, problems: string[]): SpendCaps['atCap'] | undefined {
  if (text === undefined || text === 'StopNew' || text === 'Stop') return text
  problems.push(`${budgetAnnotations.atCap}: found "${text}"; allowed: StopNew, Stop`)
  return undefined
}
