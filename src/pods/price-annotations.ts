import { costAnnotation, pricePerHourAnnotation, specAnnotation } from '../model/words.ts'

/** What the ledger says of a Pod, in words for people; billing/price-tags.ts makes it. */
export interface PriceTags {
  readonly spec: string
  readonly pricePerHour: string
  /** Undefined while it runs, or may run again. */
  readonly cost: string | undefined
}

type Annotations = Readonly<Record<string, string>>

/** The annotations to write: those that differ. The prefix is ours, so that a value of somebody else's is replaced. */
export function priceAnnotations(
  stored: Annotations = {},
  tags: PriceTags | undefined,
): Annotations | undefined {
  if (!tags) return undefined
  const wanted: Annotations = {
    [specAnnotation]: tags.spec,
    [pricePerHourAnnotation]: tags.pricePerHour,
    ...(tags.cost !== undefined && { [costAnnotation]: tags.cost }),
  }
  const changed = Object.entries(wanted).filter(([key, value]) => stored[key] !== value)
  return changed.length > 0 ? Object.fromEntries(changed) : undefined
}
