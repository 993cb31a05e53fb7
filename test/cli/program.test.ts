import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { version } from '../../src/model/version.ts'
import { FakeClock } from '../support/fake-clock.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function run(
  argv: readonly string[],
  environment: Record<string, string> = {},
  signal = new AbortController().signal,
) {
  const told = { stdout: '', stderr: '' }
  const code = await runCli(argv, {
    environment,
    clock: new FakeClock(),
    random: () => 0.5,
    stdout: { write: (text) => (told.stdout += text) },
    stderr: { write: (text) => (told.stderr += text) },
    signal,
  })
  return { code, ...told }
}

describe('the command line', () => {
  test('tells its version and its help on standard output, with exit code 0', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
    const help = await run(['--help'])
    expect(help.code).toBe(0)
    for (const command of [
      'run',
      'status',
      'bill',
      'budget',
      'explain',
      'check',
      'ledger',
      'up',
      'down',
      'kubeconfig',
      'prepare',
      'demo',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
    }
  })

  test.each([
    [['fly'], /unknown command 'fly'/],
    [['bill', '--by', 'team'], /--by: found "team"; allowed: namespace, workload, pod, pool, day, label:KEY/],
    [['pool', 'scale'], /missing required argument 'pool'/],
    [['prices', 'check'], /missing required argument 'file'/],
    [['prices', 'list', '--all'], /unknown option '--all'/],
    [['bill', '--from', 'yesterday'], /--from: found "yesterday"; allowed: RFC 3339/],
    [['up', '--virtual-nodes', 'many'], /found "many"; allowed: a whole number from 0 to 50/],
    [['ledger', 'verify', '--legder', 'x'], /unknown option '--legder'/],
    [['run'], /--config: missing/],
    [['bill', '--ledger', '/nowhere/ledger.db'], /--ledger: \/nowhere\/ledger\.db does not exist/],
  ])('%j is wrong usage: exit code 2 and a sentence', async (argv, sentence) => {
    const { code, stderr, stdout } = await run(argv)
    expect(stderr).toMatch(sentence)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  test('a wrong configuration is told with all its errors, and exit code 2', async () => {
    const file = join(folder, 'spillway.yaml')
    writeFileSync(file, 'pools: []\ncolour: red\n')
    const { code, stderr } = await run(['--config', file, 'run'])
    expect(code).toBe(2)
    expect(stderr).toContain('colour: unknown field')
    expect(stderr).toContain('nodeApi: missing')
  })

  test('where nothing runs, status fails with the remedy and exit code 1', async () => {
    const { code, stderr } = await run(['--name', 'nowhere', 'status'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/no Spillway is running here: .*npm run up/)
  })

  test('an interrupted command exits with 130', async () => {
    const { code } = await run(['--name', 'nowhere', 'status'], {}, AbortSignal.abort())
    expect(code).toBe(130)
  })

  test('there are no colours where no terminal shows them', async () => {
    // oxlint-disable-next-line no-control-regex
    expect((await run(['--name', 'nowhere', 'status'])).stderr).not.toMatch(/\u001B/)
  })
})
