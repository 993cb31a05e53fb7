/** A reader of RFC 4180 that is not the writer's: character by character. A field that is empty without quotes is null. */
export function parseCsv(text: string): (string | undefined)[][] {
  const records: (string | undefined)[][] = []
  let record: (string | undefined)[] = []
  let at = 0
  while (at < text.length) {
    let field: string | undefined
    if (text[at] === '"') {
      field = ''
      at += 1
      for (; ; at += 1) {
        if (at >= text.length) throw new Error('a quoted field does not end')
        if (text[at] !== '"') field += text[at]
        else if (text[at + 1] === '"') field += text[(at += 1)]
        else break
      }
      at += 1
    } else {
      const begin = at
      while (at < text.length && text[at] !== ',' && text[at] !== '\r') at += 1
      field = text.slice(begin, at) || undefined
      if (field?.includes('"') || field?.includes('\n')) throw new Error(`${field} has to be quoted`)
    }
    record.push(field)
    if (text[at] === ',') at += 1
    else if (text.startsWith('\r\n', at)) {
      at += 2
      records.push(record)
      record = []
    } else throw new Error(`neither a comma nor a line break at ${at}`)
  }
  return records
}
