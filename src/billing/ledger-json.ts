import { createHash } from 'node:crypto'
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

/** JSON with sorted keys, so that equal values are equal texts and have one hash. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') return String(part)
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

export function decodeJson(text: string): unknown {
  return JSON.parse(text, (key: string, part: unknown) => {
    if (!bigintFields.has(key)) return part
    if (typeof part === 'string') return BigInt(part)
    // The sizes of a spec table's row are a list; its elements come by index, the list itself by its name.
    return Array.isArray(part) ? part.map((element) => BigInt(element as string)) : part
  })
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
