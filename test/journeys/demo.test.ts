import { expect, test } from 'vitest'
import { runSpillway } from '../support/run-spillway.ts'

interface Told {
  readonly claims: readonly {
    readonly sentence: string
    readonly holds: boolean
    readonly evidence: string
  }[]
}

test('the story told without root: every claim holds, and the exit code says so', async () => {
  const { code, stdout, stderr } = await runSpillway('--json', 'demo', '--simulated')
  const { claims } = JSON.parse(stdout) as Told
  expect(
    claims.filter(({ holds }) => !holds),
    stderr,
  ).toEqual([])
  expect(claims.length).toBeGreaterThanOrEqual(10)
  expect(code).toBe(0)
})
