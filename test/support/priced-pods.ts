import { chargeLines } from '../../src/billing/charges.ts'
import { projectPod } from '../../src/billing/projection.ts'
import { hourlyPrice } from '../../src/billing/spending.ts'
import type { Container, Pod } from '../../src/model/kubernetes.ts'
import { formatDecimal, formatNanos, rational, roundRational, times } from '../../src/model/money.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { PriceBook } from '../../src/model/price-book.ts'
import { chooseSpec, formatSpec, type Spec } from '../../src/model/spec.ts'
import { fakeEpochMs } from './fake-clock.ts'
import { lifeOf } from './usage-events.ts'

export type Amounts = Readonly<Record<string, string>>

export function container(requests: Amounts, limits: Amounts = {}, more: Partial<Container> = {}): Container {
  return { name: 'c', resources: { requests, limits }, ...more }
}

export interface PodWords {
  readonly annotations?: Amounts
  readonly initContainers?: Container[]
}

export function podOf(containers: Container[], { annotations = {}, ...spec }: PodWords = {}): Pod {
  return {
    metadata: { name: 'p', namespace: 'default', uid: 'u', annotations },
    spec: { containers, ...spec },
  }
}

/** Its size as people read it, or why there is none. */
export function sizeBy(book: PriceBook, pod: Pod): string {
  const choice = chooseSpec(pod, book)
  return choice.ok ? formatSpec(choice.spec) : choice.error
}

/** What the size costs a second, exactly. */
export function perSecond(book: PriceBook, spec: Spec): string {
  return formatDecimal(
    roundRational(times(hourlyPrice(spec, book, fakeEpochMs), rational(1n, 3600n)), 15, 'half_even'),
    15,
  )
}

/** What a Pod of that size is billed that ran for so long from a full hour on. */
export function billedFor(book: PriceBook, spec: Spec, ranMs: number): string {
  const nanos = linesFor(book, spec, ranMs).reduce((sum, line) => sum + line.nanos, 0n)
  return formatNanos(nanos)
}

export function linesFor(book: PriceBook, spec: Spec, ranMs: number): ReturnType<typeof chargeLines> {
  const startMs = fakeEpochMs - (fakeEpochMs % 3_600_000)
  const life = lifeOf('p', { startMs, endMs: startMs + ranMs, spec, priceBook: book.id })
  const [interval] = projectPod(asPodUid('p'), life).intervals
  if (!interval) throw new Error('the life has no interval')
  return chargeLines(interval, book, { nowMs: startMs + ranMs })
}
