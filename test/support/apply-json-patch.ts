interface Step {
  readonly op: string
  readonly path: string
  readonly value: unknown
}

/** JSON Patch of `add` steps, as the API server applies it: a member whose parent is missing is an error. */
export function applyJsonPatch<T>(object: T, steps: readonly Step[]): T {
  const copy = structuredClone(object)
  for (const { op, path, value } of steps) {
    if (op !== 'add') throw new Error(`step ${op} ${path}: only add is known`)
    const parts = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = parts.pop() ?? ''
    let at: unknown = copy
    for (const part of parts) at = (at as Record<string, unknown>)[part]
    if (typeof at !== 'object' || at === null) throw new Error(`add ${path}: there is nothing to add to`)
    if (Array.isArray(at) && last === '-') at.push(structuredClone(value))
    else (at as Record<string, unknown>)[last] = structuredClone(value)
  }
  return copy
}
