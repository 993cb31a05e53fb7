import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from '../../../src/cli/program.ts'
import { FakeClock, fakeEpochMs } from '../../support/fake-clock.ts'
import { openLedger } from '../../support/open-ledger.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal

describe('spillway ledger backup and restore', { timeout: 60_000 }, () => {
  let folder: string
  let ledgerFile: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-cli-'))
    ledgerFile = join(folder, 'ledger.db')
    const ledger = await openLedger(ledgerFile)
    await ledger.append(lifeOf('a', { startMs: fakeEpochMs, endMs: fakeEpochMs + 1000 }), never)
    await ledger.close()
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })
  const run = async (...argv: readonly string[]) => {
    const told = { stdout: '', stderr: '' }
    const code = await runCli(argv, {
      environment: {},
      clock: new FakeClock(),
      random: () => 0.5,
      stdout: { write: (text) => (told.stdout += text) },
      stderr: { write: (text) => (told.stderr += text) },
      signal: never,
    })
    return { code, ...told }
  }

  it('back up the ledger of the configuration, and say what they have checked', async () => {
    const config = join(folder, 'spillway.yaml')
    await writeFile(
      config,
      `state: ${folder}\nnodeApi: { address: 127.0.0.1 }\nbackends: [{ name: a, kind: simulator }]\n`,
    )
    const copy = join(folder, 'copy.db')
    const backup = await run('--config', config, 'ledger', 'backup', copy)
    expect(backup).toMatchObject({ code: 0, stderr: '' })
    expect(backup.stdout).toMatch(
      /^3 events of 1 Pods backed up to .*copy\.db; every claim holds; head [0-9a-f]{64}\n$/,
    )
    const restored = join(folder, 'restored.db')
    const restore = await run('--json', 'ledger', 'restore', copy, '--ledger', restored)
    expect(JSON.parse(restore.stdout)).toMatchObject({ done: true, events: 3, pods: 1, problems: [] })
    expect((await run('ledger', 'verify', '--ledger', restored)).code).toBe(0)
  })

  it('end with exit code 1 over a file that is there, and 2 over one that is not', async () => {
    const over = await run('ledger', 'backup', ledgerFile, '--ledger', ledgerFile)
    expect(over).toMatchObject({ code: 1, stderr: expect.stringContaining('is there already') })
    const nothing = await run('ledger', 'restore', join(folder, 'no.db'), '--ledger', join(folder, 'new.db'))
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('no.db does not exist') })
  })

  it('end with exit code 3 when the ledger contradicts itself', async () => {
    const database = new DatabaseSync(ledgerFile)
    database.exec("drop trigger event_no_update; update event set at_ms = 1 where kind = 'OPENED'")
    database.close()
    const { code, stdout } = await run('ledger', 'backup', join(folder, 'copy.db'), '--ledger', ledgerFile)
    expect(code).toBe(3)
    expect(stdout).toContain('nothing was written')
  })
})
