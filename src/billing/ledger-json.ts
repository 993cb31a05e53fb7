import { createHash } from 'node:crypto'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { UsageEvent } from '../model/usage.ts'

/** The fields that are bigint in memory and decimal strings in JSON: a JSON number would lose digits past 2^53. */
const bigintFields = new Set([
  'cpuMillis',
  'memoryMiB',
  'gpus',
  'memoryOverheadMiB',
  'cpuMilliMs',
  'memoryMiBMs',
  'gpuMs',
  'nanos',
])

/**
 * JSON with sorted keys, so that equal values are equal texts and have one hash. By hand: JSON.stringify with a replacer
 * that sorts takes several times as long, and each event passes here.
 */
export function encodeJson(value: unknown): string {
  return jsonOf(value) ?? 'null'
}

function jsonOf(value: unknown): string | undefined {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `"${value}"`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(encodeJson).join(',')}]`
  let text = ''
  const parts = value as Readonly<Record<string, unknown>>
  for (const key of sortedKeys(parts)) {
    const json = jsonOf(parts[key])
    if (json !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${json}`
  }
  return `{${text}}`
}

/** By code unit; but those that are array indices, which a label may be, come first and by number, as in any object. */
function sortedKeys(value: Readonly<Record<string, unknown>>): string[] {
  const keys = Object.keys(value).sort()
  const first = keys[0] ?? ''
  return first <= '9' ? Object.keys(Object.fromEntries(keys.map((key) => [key, undefined]))) : keys
}

/** LedgerCorrupt: nobody of ours wrote what is no JSON. */
export function decodeJson(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    const found = `${text.slice(0, 80)}…`
    throw new SpillwayError(
      'LedgerCorrupt',
      `what is stored cannot be read (${errorMessage(error)}): ${found}`,
    )
  }
}

/** Walks what was parsed, since a reviver of JSON.parse takes several times as long. */
function parse(text: string): unknown {
  const value: unknown = JSON.parse(text)
  restoreBigints(value)
  return value
}

function restoreBigints(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const parts = value as Record<string, unknown>
  for (const key of Object.keys(parts)) {
    const part = parts[key]
    if (!bigintFields.has(key)) restoreBigints(part)
    else if (typeof part === 'string') parts[key] = BigInt(part)
    // The sizes of a spec table's row are a list.
    else if (Array.isArray(part)) parts[key] = part.map((element) => BigInt(element as string))
    else restoreBigints(part)
  }
}

/** The predecessor of the first event. */
export const genesisHash = '0'.repeat(64)

/** Each event's hash covers all before it: whoever changes one line has to change every later one. */
export function chainHash(prevHash: string, seq: number, event: UsageEvent, body: string): string {
  const hash = createHash('sha256')
  const parts = [
    prevHash,
    String(seq),
    event.id,
    event.clusterUid,
    event.podUid,
    String(event.incarnation),
    String(event.atMs),
    String(event.observedMs),
    event.source,
    body,
  ]
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}`)
  return hash.digest('hex')
}
