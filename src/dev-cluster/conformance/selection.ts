import { createHash } from 'node:crypto'

/** Which of upstream's tests: regular expressions (RE2) on their full names, as ginkgo takes them. Several are ORed. */
export interface Selection {
  readonly focus: readonly string[]
  readonly skip: readonly string[]
}

/** What upstream calls NodeConformance and runs in parallel: the tests that every node has to pass. */
export const nodeConformance: Selection = {
  focus: ['\\[NodeConformance\\]'],
  skip: ['\\[Serial\\]', '\\[Disruptive\\]', '\\[Slow\\]', '\\[Flaky\\]'],
}

/** Tells selections apart in the name of a folder. */
export function selectionKey({ focus, skip }: Selection): string {
  return createHash('sha256').update(JSON.stringify({ focus, skip })).digest('hex').slice(0, 8)
}

/** ginkgo's flags for a selection. */
export function selectionFlags({ focus, skip }: Selection, prefix = ''): readonly string[] {
  return [
    ...focus.map((pattern) => `--${prefix}focus=${pattern}`),
    ...skip.map((pattern) => `--${prefix}skip=${pattern}`),
  ]
}

/** The selection of just these tests, by their full names. */
export function exactly(names: readonly string[]): Selection {
  // ginkgo matches against the suite's title and the name, so the beginning cannot be anchored.
  return { focus: names.map((name) => ` ${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`), skip: [] }
}
