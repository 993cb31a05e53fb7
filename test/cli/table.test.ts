import { expect, test } from 'vitest'
import { formatTable } from '../../src/cli/table.ts'

test('columns line up, numbers at their end, without trailing blanks', () => {
  const table = formatTable(
    [{ title: 'pod' }, { title: 'cost', right: true }, { title: 'node' }],
    [
      ['web-1', '$0.02', 'burst-0'],
      ['a-longer-name', '$12.00', ''],
    ],
  )
  expect(table).toBe(
    ['POD              COST  NODE', 'web-1           $0.02  burst-0', 'a-longer-name  $12.00', ''].join('\n'),
  )
})

test('a table without rows is its titles', () => {
  expect(formatTable([{ title: 'a' }, { title: 'b' }], [])).toBe('A  B\n')
})
