import { assertNever } from '../model/assert.ts'
import type { Namespace, Pod } from '../model/kubernetes.ts'
import { podRequests } from '../model/resources.ts'
import { statedSize } from '../model/demand.ts'
import { formatSpec } from '../model/spec.ts'
import {
  foreignPrefixes,
  foreignWords,
  tkeSize,
  type ForeignPlace,
  type ForeignWords,
  type Product,
} from '../model/foreign-keys.ts'
import { placementOf, saidPlacement } from './said-placement.ts'

/** What becomes of one word that another product understands. */
export interface SpellingLine {
  readonly product: Product
  /** As it stands there, as in `annotation eks.tke.cloud.tencent.com/spot-pod=true`. */
  readonly word: string
  /**
   * - `translated`: it counts, as `says` tells
   * - `needless`: it does nothing, and nothing is missed
   * - `lost`: it does nothing here, or not all that it did there
   */
  readonly becomes: 'translated' | 'needless' | 'lost'
  /** A sentence for people. */
  readonly says: string
}

/** What becomes of the words of other products in a Pod, in the order of their products. Pure; empty for nearly every Pod. */
export function foreignSpelling(pod: Pod, namespace: Namespace | undefined): readonly SpellingLine[] {
  const ofPod = wordsIn(pod).flatMap((found) => known(found).map((one) => ({ ...one, found })))
  const ofNamespace = wordsIn({ metadata: namespace?.metadata ?? {} }).flatMap((found) => {
    const word = `${found.word} of the namespace`
    return known(found).flatMap((one) =>
      one.words.ofNamespace ? [{ ...one, found: { ...found, word } }] : [],
    )
  })
  const inOrder = [...ofPod, ...ofNamespace].sort((one, other) => one.order - other.order)
  return [
    ...inOrder.flatMap(({ words, found }) => linesOf(words, found, { pod, namespace })),
    ...wordsIn({ metadata: pod.metadata ?? {} }).flatMap(unknownLines),
  ]
}

interface Found {
  readonly at: ForeignPlace
  readonly key: string
  readonly value: string
  readonly word: string
}

interface Home {
  readonly pod: Pod
  readonly namespace: Namespace | undefined
}

interface Known {
  readonly words: ForeignWords
  readonly order: number
}

/** By place and key: a Pod has a few words, the products have many, and most Pods have none of theirs. */
const index = new Map<string, readonly Known[]>()
for (const [order, words] of foreignWords.entries()) {
  for (const key of words.keys) {
    const place = `${words.at} ${key}`
    index.set(place, [...(index.get(place) ?? []), { words, order }])
  }
}

function known({ at, key, value }: Pick<Found, 'at' | 'key' | 'value'>): readonly Known[] {
  const all = index.get(`${at} ${key}`) ?? []
  return all.filter(({ words }) => words.value === undefined || words.value === value)
}

/** Whatever could be a word of somebody's. */
function wordsIn({ metadata, spec }: Pod): readonly Found[] {
  const named = (at: ForeignPlace, all: Readonly<Record<string, string>> = {}): readonly Found[] =>
    Object.entries(all).map(([key, value]) => ({ at, key, value, word: wordOf(at, key, value) }))
  const bare = (at: ForeignPlace, title: string, key: string): Found => ({
    at,
    key,
    value: '',
    word: `${title} ${key}`,
  })
  const tolerated = new Set(spec?.tolerations?.flatMap(({ key }) => key ?? []))
  return [
    ...named('label', metadata?.labels),
    ...named('annotation', metadata?.annotations),
    ...named('node selector', spec?.nodeSelector),
    ...[...tolerated].map((key) => bare('toleration', 'toleration', key)),
    ...(spec?.schedulerName ? [bare('scheduler', 'schedulerName', spec.schedulerName)] : []),
  ]
}

function linesOf(words: ForeignWords, found: Found, home: Home): readonly SpellingLine[] {
  const { product, meaning } = words
  const { word } = found
  switch (meaning.kind) {
    case 'placement':
      return placementLines(found, home, { product, meaning })
    case 'size':
      return found.key === firstSizeKey(home.pod) ? sizeLines(home.pod, product) : []
    case 'billed':
      return billedLines(found, { product, meaning })
    case 'needless':
    case 'lost': {
      const asksNothing = found.value === 'false' && !meaning.alsoFalse
      if (asksNothing) return [{ product, word, becomes: 'needless', says: 'it asks for nothing' }]
      return [{ product, word, becomes: meaning.kind, says: meaning.says }]
    }
    default:
      return assertNever(meaning, 'meaning of a foreign word')
  }
}

interface PlacementWord {
  readonly product: Product
  readonly meaning: Extract<ForeignWords['meaning'], { readonly kind: 'placement' }>
}

function placementLines(
  { value, word }: Found,
  { pod, namespace }: Home,
  { product, meaning: { values, but } }: PlacementWord,
): readonly SpellingLine[] {
  const placement = placementOf(values, value)
  if (placement === undefined) {
    const known = Object.keys(values).map((one) => one || '""')
    return [{ product, word, becomes: 'lost', says: `it means something as ${known.join(' or ')} only` }]
  }
  const said = saidPlacement(pod, namespace)
  if (said && (said.kind === 'unreadable' || said.placement !== placement)) {
    return [{ product, word, becomes: 'needless', says: `another one counts: ${said.because}` }]
  }
  const line: SpellingLine = { product, word, becomes: 'translated', says: `placement ${placement}` }
  return but === undefined ? [line] : [line, { product, word, becomes: 'lost', says: but }]
}

interface BilledWord {
  readonly product: Product
  readonly meaning: Extract<ForeignWords['meaning'], { readonly kind: 'billed' }>
}

function billedLines(
  { value, word }: Found,
  { product, meaning: { says, value: only, but } }: BilledWord,
): readonly SpellingLine[] {
  if (value === 'false') return [{ product, word, becomes: 'needless', says: 'it asks for nothing' }]
  if (only !== undefined && value !== only) {
    return [{ product, word, becomes: 'lost', says: `it means something as ${only} only` }]
  }
  const line: SpellingLine = { product, word, becomes: 'translated', says }
  return but === undefined ? [line] : [line, { product, word, becomes: 'lost', says: but }]
}

/** The two keys are one line, told at the first of them that is there. */
function firstSizeKey({ metadata }: Pod): string {
  return metadata?.annotations?.[tkeSize.cpu] === undefined ? tkeSize.memory : tkeSize.cpu
}

function sizeLines(pod: Pod, product: Product): readonly SpellingLine[] {
  const word = [tkeSize.cpu, tkeSize.memory]
    .flatMap((key) => {
      const value = pod.metadata?.annotations?.[key]
      return value === undefined ? [] : [wordOf('annotation', key, value)]
    })
    .join(' and ')
  const stated = statedSize(pod, tkeSize)
  switch (stated.kind) {
    case 'none':
      return []
    case 'half':
      return [{ product, word, becomes: 'lost', says: `it counts only together with ${stated.missing}` }]
    case 'unreadable':
      return [{ product, word, becomes: 'lost', says: stated.reason }]
    case 'size': {
      const { size } = stated
      const billed = `the size that is billed where the price book is Tencent’s: ${formatSpec({ ...size, gpus: 0n })}`
      const line: SpellingLine = { product, word, becomes: 'translated', says: billed }
      const { cpuMillis, memoryBytes } = podRequests(pod)
      if (cpuMillis >= size.cpuMillis && memoryBytes >= size.memoryMiB << 20n) return [line]
      // The scheduler reads no annotations, and neither do other books: nothing of ours may pretend that it has the room.
      const says = 'room on a node, and other price books, go by the requests: state it in resources'
      return [line, { product, word, becomes: 'lost', says }]
    }
    default:
      return assertNever(stated, 'stated size')
  }
}

function unknownLines({ at, key, value, word }: Found): readonly SpellingLine[] {
  const of = foreignPrefixes.find(({ prefix }) => key.startsWith(prefix))
  if (!of || known({ at, key, value }).length > 0) return []
  return [{ product: of.product, word, becomes: 'lost', says: `no such ${at} is known here` }]
}

const longestValue = 40

function wordOf(at: string, key: string, value: string): string {
  return `${at} ${key}=${value.length > longestValue ? `${value.slice(0, longestValue)}…` : value}`
}
