import type { Namespace, ObjectMeta, Pod } from '../model/kubernetes.ts'
import { isPlacement, placementLabel, placements, type Placement } from '../model/words.ts'
import { foreignWords, type ForeignWords } from '../model/foreign-keys.ts'

/** What a Pod or its namespace says about where the Pod is to be; `because` is a sentence for people. */
export type SaidPlacement =
  | { readonly kind: 'said'; readonly placement: Placement; readonly because: string }
  /** The label has a value that it cannot have. */
  | { readonly kind: 'unreadable'; readonly because: string }

/**
 * Undefined when nobody says anything. First come, first served: our label of the Pod, our label of its namespace, a word
 * of another product of the Pod, one of its namespace. So our label on a namespace turns all other products' words off
 * there, which a cluster needs that still has such a product. Among several words of others in one place the one that
 * keeps it on servers counts, then the one that sends it out: sending out is the step that costs money.
 */
export function saidPlacement(pod: Pod, namespace: Namespace | undefined): SaidPlacement | undefined {
  const places = [
    { where: 'the Pod', meta: pod.metadata, isNamespace: false },
    { where: 'its namespace', meta: namespace?.metadata, isNamespace: true },
  ] as const
  for (const { where, meta } of places) {
    const said = meta?.labels?.[placementLabel]
    if (said === undefined) continue
    const label = `label ${placementLabel} of ${where}`
    return isPlacement(said)
      ? { kind: 'said', placement: said, because: `${label} says ${said}` }
      : { kind: 'unreadable', because: `${label} is "${said}"; allowed: ${placements.join(', ')}` }
  }
  for (const { where, meta, isNamespace } of places) {
    const found = foreignPlacements(meta, isNamespace)
    const said = byCaution.flatMap((placement) => found.filter((one) => one.placement === placement))[0]
    if (!said) continue
    const { at, key, value, product, placement } = said
    const because = `${at} ${key}=${value} (${product}) of ${where} says ${placement}`
    return { kind: 'said', placement, because }
  }
  return undefined
}

const byCaution = ['server', 'virtual', 'auto'] as const

/** A word of another product that says where its Pod is to be. */
interface ForeignPlacement {
  readonly product: ForeignWords['product']
  readonly at: 'label' | 'annotation'
  readonly key: string
  readonly value: string
  readonly placement: Placement
}

interface Placing {
  readonly product: ForeignPlacement['product']
  readonly values: Readonly<Record<string, Placement>>
  readonly ofNamespace: boolean
}

/** By key. Nearly no Pod has any of them, and each is asked about in each round of overflow. */
const placing = { label: placingAt('label'), annotation: placingAt('annotation') } as const

function placingAt(place: ForeignPlacement['at']): ReadonlyMap<string, Placing> {
  return new Map(
    foreignWords.flatMap(({ product, at, keys, meaning, ofNamespace = false }) => {
      if (at !== place || meaning.kind !== 'placement') return []
      return keys.map((key): [string, Placing] => [key, { product, values: meaning.values, ofNamespace }])
    }),
  )
}

/** Those with a value that its product knows. */
function foreignPlacements(meta: ObjectMeta | undefined, isNamespace: boolean): readonly ForeignPlacement[] {
  const found: ForeignPlacement[] = []
  for (const at of ['label', 'annotation'] as const) {
    const all = (at === 'label' ? meta?.labels : meta?.annotations) ?? {}
    for (const key of Object.keys(all)) {
      const words = placing[at].get(key)
      if (!words || (isNamespace && !words.ofNamespace)) continue
      const value = all[key] ?? ''
      const placement = placementOf(words.values, value)
      if (placement !== undefined) found.push({ product: words.product, at, key, value, placement })
    }
  }
  return found
}

/** By a table of values; `*` for any. */
export function placementOf(
  values: Readonly<Record<string, Placement>>,
  value: string,
): Placement | undefined {
  const known = Object.hasOwn(values, value) ? values[value] : undefined
  return known ?? values['*']
}
