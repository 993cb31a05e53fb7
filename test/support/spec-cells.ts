/** One size of a table. */
export interface Cell {
  readonly millis: number
  readonly mib: number
}

/** Of a table as people type it: `cores: GiB, GiB-GiB, GiB-GiB/step`, one row a line. */
export function cellsOf(text: string): Cell[] {
  return text.split('\n').flatMap((line) => {
    const [cores = '', sizes = ''] = line.split(':')
    return sizes.split(',').flatMap((part) => {
      const [range = '', step = '1'] = part.split('/')
      const [from = 0, to = from] = range.split('-').map(Number)
      const found: Cell[] = []
      for (let gib = from; gib <= to; gib += Number(step)) {
        found.push({ millis: Number(cores) * 1000, mib: gib * 1024 })
      }
      return found
    })
  })
}

/** Looks at every cell. Prices of a core and of a GiB for the same time, as integers. */
export function cheapest(
  cells: readonly Cell[],
  wanted: Cell,
  [core, gib]: readonly [core: number, gib: number],
): Cell | undefined {
  let best: Cell | undefined
  const price = ({ millis, mib }: Cell): number => millis * 1024 * core + mib * 1000 * gib
  for (const cell of cells) {
    if (cell.millis < wanted.millis || cell.mib < wanted.mib) continue
    if (!best || price(cell) < price(best)) best = cell
  }
  return best
}
