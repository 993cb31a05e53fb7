/** One column of a table for people. */
export interface Column {
  readonly title: string
  /** Numbers and money line up at their end. */
  readonly right?: boolean
}

/** Aligned columns, two spaces apart, titles in capitals, as kubectl prints them. No trailing blanks. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titles = columns.map(({ title }) => title.toUpperCase())
  const widths = titles.map((title, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  )
  const lines = [titles, ...rows].map((cells) =>
    columns
      .map(({ right }, index) => {
        const cell = cells[index] ?? ''
        const width = widths[index] ?? 0
        return right ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}
