import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

interface Told {
  readonly claims: readonly {
    readonly sentence: string
    readonly holds: boolean
    readonly evidence: string
  }[]
}

test('the story told without root: every claim holds, and the exit code says so', async () => {
  const { code, stdout, stderr } = await spillway('--json', 'demo', '--simulated')
  const { claims } = JSON.parse(stdout) as Told
  expect(
    claims.filter(({ holds }) => !holds),
    stderr,
  ).toEqual([])
  expect(claims.length).toBeGreaterThanOrEqual(10)
  expect(code).toBe(0)
})

async function spillway(
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const program = join(import.meta.dirname, '../../bin/spillway.mjs')
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const told = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (told.stderr += text))
  const { promise, resolve } = Promise.withResolvers<number>()
  child.on('close', (code) => resolve(code ?? 1))
  return { code: await promise, ...told }
}
