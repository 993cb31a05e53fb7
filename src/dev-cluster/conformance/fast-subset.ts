import type { Selection } from './selection.ts'

/** Parts of the names of quick tests, a few for each feature of a Pod. */
const names: readonly string[] = ['PLACEHOLDER']

/** What `npm test` runs of NodeConformance. */
export const fastSubset: Selection = { focus: names, skip: [] }
