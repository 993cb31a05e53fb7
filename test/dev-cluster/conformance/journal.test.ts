import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestResult } from '../../../src/dev-cluster/conformance/ginkgo-report.ts'
import { readAllResults, readResults, recordResults } from '../../../src/dev-cluster/conformance/journal.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-journal-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

const result = (name: string, outcome: TestResult['outcome']): TestResult => ({ name, group: 'g', outcome })

describe('the journal of results', () => {
  it('keeps the last result of each test', async () => {
    await recordResults(dir, [result('a', 'failed'), result('b', 'passed')])
    await recordResults(dir, [result('a', 'passed')])
    const results = await readResults(dir)
    expect([...results.values()].map(({ name, outcome }) => [name, outcome])).toEqual([
      ['a', 'passed'],
      ['b', 'passed'],
    ])
  })

  it('survives a writer that was killed in the middle of a line', async () => {
    await recordResults(dir, [result('a', 'passed')])
    await appendFile(join(dir, 'results.jsonl'), '{"name":"b","outc')
    expect([...(await readResults(dir)).keys()]).toEqual(['a'])
  })

  it('is empty where nothing was run', async () => {
    expect((await readResults(join(dir, 'nowhere'))).size).toBe(0)
    expect((await readAllResults(join(dir, 'nowhere'))).size).toBe(0)
  })

  it('is read for all selections together', async () => {
    for (const selection of ['one', 'two']) {
      await mkdir(join(dir, selection))
      await recordResults(join(dir, selection), [result(selection, 'passed')])
    }
    expect([...(await readAllResults(dir)).keys()].toSorted()).toEqual(['one', 'two'])
  })
})
