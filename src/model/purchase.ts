import { tkeSpot } from './foreign-keys.ts'
import type { Pod } from './kubernetes.ts'
import { hasSpotPrices, purchaseOptions, type PriceBook, type PurchaseOption } from './price-book.ts'
import { purchaseAnnotation } from './words.ts'

/** How a Pod is bought. */
export interface Purchase {
  readonly option: PurchaseOption
  /** Sentences, where there is something to say. */
  readonly steps: readonly string[]
}

/**
 * Our annotation, else TKE's, else as the pool has it. A book without spot prices sells on demand only: a Pod is never
 * without a price because it asked for a cheaper one.
 */
export function purchaseOf(pod: Pod, book: PriceBook, ofPool: PurchaseOption = 'on-demand'): Purchase {
  const wish = saidPurchase(pod) ?? bought(ofPool, 'as its pool has it')
  if (wish.option === 'on-demand' || hasSpotPrices(book)) return wish
  return { option: 'on-demand', steps: ['spot was asked for, the price book has no such price: on demand'] }
}

function saidPurchase({ metadata }: Pod): Purchase | undefined {
  const { annotations = {} } = metadata ?? {}
  const said = annotations[purchaseAnnotation]
  const option = purchaseOptions.find((known) => known === said)
  if (option) return bought(option, `by annotation ${purchaseAnnotation}`)
  if (said !== undefined) {
    const problem = `annotation ${purchaseAnnotation}: found "${said}"; allowed: ${purchaseOptions.join(', ')}`
    // The dearer one: nobody is to get a discount by a slip of the pen.
    return { option: 'on-demand', steps: [problem] }
  }
  return annotations[tkeSpot] === 'true' ? bought('spot', `by annotation ${tkeSpot}`) : undefined
}

function bought(option: PurchaseOption, why: string): Purchase {
  return { option, steps: option === 'spot' ? [`bought as spot, ${why}`] : [] }
}
