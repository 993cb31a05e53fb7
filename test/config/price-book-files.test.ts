import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { writePriceBook } from '../../src/config/price-book.ts'
import { readPriceBookFiles } from '../../src/config/price-book-files.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-books-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(path: string, text: string): string {
  const file = join(folder, path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, text)
  return file
}

const book = (id: string): string => stringify(writePriceBook({ ...flatDemo, id }))

it('reads files, and folders of files in the order of their names, from where the configuration is', () => {
  write('single.yaml', book('single'))
  write('more/b.yml', book('b'))
  write('more/a.json', JSON.stringify(writePriceBook({ ...flatDemo, id: 'a' })))
  write('more/README.md', 'not a book')
  write('more/..data/hidden.yaml', book('hidden'))
  const { books, problems } = readPriceBookFiles(['single.yaml', join(folder, 'more')], folder)
  expect(problems).toEqual([])
  expect(books.map(({ id }) => id)).toEqual(['single', 'a', 'b'])
})

it('names the file and the field of all that is wrong', () => {
  const bad = write('bad.yaml', book('bad').replace('currency: USD', 'currency: Dollar'))
  const broken = write('broken.yaml', 'id: [')
  const list = write('list.yaml', '- 1')
  mkdirSync(join(folder, 'empty'))
  const { problems } = readPriceBookFiles(
    ['bad.yaml', 'broken.yaml', 'list.yaml', 'missing.yaml', 'empty'],
    folder,
  )
  expect(problems).toEqual([
    expect.stringContaining(`priceBooks[0]: ${bad}: currency: found "Dollar"`),
    expect.stringContaining(`priceBooks[1]: ${broken}: `),
    `priceBooks[2]: ${list}: found no fields; a YAML mapping with id, prices and specTable is needed`,
    expect.stringMatching(/^priceBooks\[3\]: .*missing\.yaml: cannot be read: ENOENT/),
    `priceBooks[4]: ${join(folder, 'empty')}: found no .yaml, .yml or .json file`,
  ])
})

it('refuses an id that another file has', () => {
  const first = write('first.yaml', book('ours'))
  const second = write('second.yaml', book('ours'))
  const { problems } = readPriceBookFiles(['first.yaml', 'second.yaml'], folder)
  expect(problems).toEqual([`priceBooks[1]: ${second}: id: "ours" is taken already, by ${first}`])
})
