export type Version = readonly [major: number, minor: number, patch: number]

/** The first `1.2.3` (or `1.2`, as of `go1.26`) in a text; whatever prefixes and suffixes a program adds. */
export function findVersion(text: string): Version | undefined {
  // Module paths hold a lone `v2` or `v3`, which has no second part and so does not count.
  const match = /(?<![\d.])(\d+)\.(\d+)(?:\.(\d+))?/.exec(text)
  return match ? [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] : undefined
}

/** Whether both are of one minor version, within which Kubernetes and the others stay compatible. */
export function isSameMinor(found: Version | undefined, pinned: Version | undefined): boolean {
  return found !== undefined && pinned !== undefined && found[0] === pinned[0] && found[1] === pinned[1]
}

export function isAtLeast(found: Version | undefined, minimum: Version): boolean {
  if (found === undefined) return false
  const index = found.findIndex((part, position) => part !== minimum[position])
  return index < 0 || (found[index] ?? 0) > (minimum[index] ?? 0)
}
