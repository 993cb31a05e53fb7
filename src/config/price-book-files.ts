import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { errorMessage } from '../model/errors.ts'
import type { PriceBook } from '../model/price-book.ts'
import { readPriceBook, type ReadPriceBook } from './price-book.ts'

export interface PriceBookFiles {
  readonly books: readonly PriceBook[]
  readonly problems: readonly string[]
}

/**
 * The books of `priceBooks`: each a file, or a folder of which every .yaml, .yml and .json counts (a mounted ConfigMap is
 * one). Paths are from the folder that the configuration file is in.
 */
export function readPriceBookFiles(paths: readonly string[], folder: string): PriceBookFiles {
  const problems: string[] = []
  const books: { readonly book: PriceBook; readonly file: string }[] = []
  for (const [index, path] of paths.entries()) {
    const field = `priceBooks[${index}]`
    const found = filesAt(resolve(folder, path))
    if ('problem' in found) problems.push(`${field}: ${found.problem}`)
    for (const file of 'problem' in found ? [] : found.files) {
      const { book, problems: own } = readPriceBookFile(file)
      problems.push(...own.map((problem) => `${field}: ${file}: ${problem}`))
      const twin = books.find((other) => other.book.id === book?.id)
      if (twin) problems.push(`${field}: ${file}: id: "${twin.book.id}" is taken already, by ${twin.file}`)
      else if (book) books.push({ book, file })
    }
  }
  return { books: books.map(({ book }) => book), problems }
}

/** Never throws: that it cannot be read is a problem like others. */
export function readPriceBookFile(file: string): ReadPriceBook {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    return { book: undefined, problems: [`cannot be read: ${errorMessage(error)}`] }
  }
  const document = parseDocument(source)
  if (document.errors.length > 0) {
    return { book: undefined, problems: document.errors.map(({ message }) => message) }
  }
  const value: unknown = document.toJS()
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return {
      book: undefined,
      problems: ['found no fields; a YAML mapping with id, prices and specTable is needed'],
    }
  }
  return readPriceBook(value)
}

function filesAt(path: string): { readonly files: readonly string[] } | { readonly problem: string } {
  try {
    if (!statSync(path).isDirectory()) return { files: [path] }
    const files = readdirSync(path)
      .filter((name) => /^[^.].*\.(yaml|yml|json)$/.test(name))
      .sort()
      .map((name) => join(path, name))
    return files.length > 0 ? { files } : { problem: `${path}: found no .yaml, .yml or .json file` }
  } catch (error) {
    return { problem: `${path}: cannot be read: ${errorMessage(error)}` }
  }
}
