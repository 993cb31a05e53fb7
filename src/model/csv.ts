/** One record of a CSV file by RFC 4180, with its line break. Undefined is no value: an empty field without quotes. */
export function csvRecord(fields: readonly (string | undefined)[]): string {
  return `${fields.map(csvField).join(',')}\r\n`
}

/** An empty text is quoted, so that readers which tell it from no value (PostgreSQL, DuckDB) still can. */
function csvField(value: string | undefined): string {
  if (value === undefined) return ''
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
