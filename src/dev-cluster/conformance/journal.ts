import { appendFile, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestResult } from './ginkgo-report.ts'

const fileName = 'results.jsonl'

/** Adds results to a folder's journal, one line each. A later result of the same test counts in place of the earlier. */
export async function recordResults(dir: string, results: readonly TestResult[]): Promise<void> {
  if (results.length === 0) return
  await appendFile(join(dir, fileName), results.map((result) => `${JSON.stringify(result)}\n`).join(''))
}

/** Results by name; empty when nothing was recorded in the folder. */
export async function readResults(dir: string): Promise<ReadonlyMap<string, TestResult>> {
  return parseJournal(await readOrEmpty(join(dir, fileName)))
}

/** Results of all folders in a folder. */
export async function readAllResults(dir: string): Promise<ReadonlyMap<string, TestResult>> {
  const all = new Map<string, TestResult>()
  for (const entry of await namesIn(dir)) {
    for (const [name, result] of await readResults(join(dir, entry))) all.set(name, result)
  }
  return all
}

/** The last result of each test. A line that a killed process left unfinished is passed over. */
export function parseJournal(text: string): ReadonlyMap<string, TestResult> {
  const results = new Map<string, TestResult>()
  for (const line of text.split('\n').filter((part) => part.endsWith('}'))) {
    const result = JSON.parse(line) as TestResult
    results.set(result.name, result)
  }
  return results
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
