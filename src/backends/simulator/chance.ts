/**
 * Chance that depends on what is asked, not on when: the same seed and the same words give the same number in [0, 1)
 * whatever happened before, so that a simulation stays the same when something unrelated is added to it.
 */
export function chance(seed: number, ...words: readonly (string | number)[]): number {
  let hash = (2_166_136_261 ^ seed) >>> 0
  for (const character of words.join('\u0000')) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619) >>> 0
  }
  // FNV's low bits vary little for short input: one round of murmur's finish spreads them.
  hash = Math.imul(hash ^ (hash >>> 16), 2_246_822_507) >>> 0
  hash = Math.imul(hash ^ (hash >>> 13), 3_266_489_909) >>> 0
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** The duration, up to that share of it longer or shorter. */
export function jittered(durationMs: number, jitter: number, random: number): number {
  return Math.round(durationMs * (1 + jitter * (2 * random - 1)))
}
