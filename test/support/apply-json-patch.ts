import { isDeepStrictEqual } from 'node:util'

interface Step {
  readonly op: string
  readonly path: string
  readonly value?: unknown
}

/**
 * JSON Patch of `add`, `remove` and `test` steps, as the API server applies it: a member whose parent is missing, or that is
 * to be removed and is not there, is an error.
 */
export function applyJsonPatch<T>(object: T, steps: readonly Step[]): T {
  const copy = structuredClone(object)
  for (const { op, path, value } of steps) {
    if (!['add', 'remove', 'test'].includes(op)) throw new Error(`step ${op} ${path}: it is not known`)
    const parts = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = parts.pop() ?? ''
    let at: unknown = copy
    for (const part of parts) at = (at as Record<string, unknown>)[part]
    if (typeof at !== 'object' || at === null) throw new Error(`${op} ${path}: there is nothing there`)
    const parent = at as Record<string, unknown>
    if (op !== 'add') {
      if (!(last in parent)) throw new Error(`${op} ${path}: it is not there`)
      if (op === 'test' && !isDeepStrictEqual(parent[last], value)) throw new Error(`test ${path} failed`)
      if (op === 'remove') delete parent[last]
    } else if (Array.isArray(at) && last === '-') at.push(structuredClone(value))
    else parent[last] = structuredClone(value)
  }
  return copy
}
