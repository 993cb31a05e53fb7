import { expect, test } from 'vitest'
import { csvRecord } from '../../src/model/csv.ts'

test.each([
  [['a', '1.5'], 'a,1.5\r\n'],
  [['a,b', 'say "hi"'], '"a,b","say ""hi"""\r\n'],
  [['two\nlines', 'cr\rhere'], '"two\nlines","cr\rhere"\r\n'],
  [[undefined, '', 'x'], ',"",x\r\n'],
  [[' kept '], ' kept \r\n'],
])('%j', (fields, record) => expect(csvRecord(fields)).toBe(record))
