import type { PriceBook } from '../model/price-book.ts'

const mostTold = 5

/**
 * What two books of one id differ in, as in `prices[0].price: "0.04", now "0.05"`; empty when the same bills come of both.
 * Notes may be put better later: nothing is billed by them.
 */
export function bookDifferences(kept: PriceBook, found: PriceBook): readonly string[] {
  const { notes: _kept, ...before } = kept
  const { notes: _found, ...after } = found
  const all = differences(before, after, '')
  return all.length > mostTold ? [...all.slice(0, mostTold), `and ${all.length - mostTold} more`] : all
}

function differences(before: unknown, after: unknown, path: string): string[] {
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) => differences(before[key], after[key], pathOf(path, key, before)))
  }
  const [was, is] = [told(before), told(after)]
  return was === is ? [] : [`${path}: ${was}, now ${is}`]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function pathOf(path: string, key: string, parent: object): string {
  if (Array.isArray(parent)) return `${path}[${key}]`
  return path === '' ? key : `${path}.${key}`
}

function told(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'bigint' ? String(part) : part,
  )
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
