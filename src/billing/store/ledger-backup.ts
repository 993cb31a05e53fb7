import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import type { LedgerConfig } from '../../config/ledger.ts'
import { SpillwayError } from '../../model/errors.ts'
import { verifyLedger, type LedgerReport } from '../verify.ts'
import type { Claimant } from './claim.ts'
import { databaseKind, failureOf, type DatabaseKind } from './database-kind.ts'
import { openLedger } from './open-ledger.ts'

export interface BackupOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Bounds the open intervals where they are checked. */
  readonly nowMs: number
}

/**
 * Writes a ledger, which may be in use, into a new file: a SQLite ledger of the same events with the same hashes,
 * wherever it came from. Answers what was checked of it; with problems there is no file. Rejects with Rejected when the
 * file is there, or as the stores do.
 */
export async function backUpLedger(
  source: LedgerConfig,
  file: string,
  options: BackupOptions,
  signal: AbortSignal,
): Promise<LedgerReport> {
  return await placeNewFile(file, async (partial) => {
    if (source.kind === 'sqlite') await copyDatabase(source.file, partial)
    else await copyLedger({ from: source, to: { kind: 'sqlite', file: partial } }, options, signal)
    return await verifyFile(partial, options, signal)
  })
}

/**
 * Puts a backup where a ledger is to be, of either kind, once all of it has been checked. Never over another: Rejected.
 * Answers what was checked; with problems nothing was put in place.
 */
export async function restoreLedger(
  file: string,
  target: LedgerConfig,
  options: BackupOptions,
  signal: AbortSignal,
): Promise<LedgerReport> {
  if (target.kind === 'sqlite') {
    return await placeNewFile(target.file, (partial) => checkedCopy(file, partial, options, signal))
  }
  const folder = await mkdtemp(join(tmpdir(), 'spillway-restore-'))
  try {
    const copy = join(folder, 'ledger.db')
    const report = await checkedCopy(file, copy, options, signal)
    if (report.problems.length === 0)
      await copyLedger({ from: { kind: 'sqlite', file: copy }, to: target }, options, signal)
    return report
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** The backup may be an older program's: its copy is brought up to date before it is checked. */
async function checkedCopy(
  file: string,
  copy: string,
  options: BackupOptions,
  signal: AbortSignal,
): Promise<LedgerReport> {
  await copyDatabase(file, copy)
  const ledger = await openLedger({ kind: 'sqlite', file: copy }, options)
  await ledger.close()
  return await verifyFile(copy, options, signal)
}

async function verifyFile(file: string, options: BackupOptions, signal: AbortSignal): Promise<LedgerReport> {
  const ledger = await openLedger({ kind: 'sqlite', file }, { ...options, readOnly: true })
  try {
    return await verifyLedger(ledger, options, signal)
  } finally {
    await ledger.close()
  }
}

/** By SQLite's own means, which see one state of the file while others go on writing it. */
async function copyDatabase(file: string, copy: string): Promise<void> {
  if (!existsSync(file)) throw new SpillwayError('Usage', `${file} does not exist`)
  const source = new DatabaseSync(file, { readOnly: true })
  try {
    source.exec('pragma busy_timeout = 5000')
    // In one step: between two of them each write would make it begin again.
    await backup(source, copy, { rate: wholeDatabase })
  } finally {
    source.close()
  }
  const target = new DatabaseSync(copy)
  // One file that needs no others beside it.
  target.exec('pragma journal_mode = delete')
  target.close()
}

// Pages, as a 32-bit number.
const wholeDatabase = 2 ** 31 - 1

interface Copying {
  readonly from: LedgerConfig
  readonly to: LedgerConfig
}

/** In this thread: what reads and what writes have to meet. */
async function copyLedger(
  { from, to }: Copying,
  { environment }: BackupOptions,
  signal: AbortSignal,
): Promise<void> {
  const [fromKind, toKind] = [await databaseKind(from), await databaseKind(to)]
  const source = await orFailure(fromKind, () => fromKind.open({ claimant: undefined, environment }))
  try {
    const target = await orFailure(toKind, () => toKind.open({ claimant: claimantOfCopy(), environment }))
    try {
      await orFailure(toKind, () => target.ledger.copyFrom(source.ledger, signal))
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

function claimantOfCopy(): Claimant {
  const holderName = `host ${hostname()}, process ${process.pid}, which restores it`
  return { holder: randomUUID(), holderName, clusterUid: undefined, resume: false }
}

async function orFailure<T>(kind: DatabaseKind, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const { code, message } = failureOf(cause, kind)
    throw new SpillwayError(code, message, { cause })
  }
}

/** Has a file made in a folder beside its place, and moves it there when it is good and nothing has taken the name. */
async function placeNewFile(
  file: string,
  make: (partial: string) => Promise<LedgerReport>,
): Promise<LedgerReport> {
  refuseExisting(file)
  const folder = await mkdtemp(`${file}.partial-`)
  try {
    const partial = join(folder, basename(file))
    const report = await make(partial)
    if (report.problems.length === 0) await moveNew(partial, file)
    return report
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** A write-ahead log of that name would be read into the new file, whatever it belongs to. */
function refuseExisting(file: string): void {
  const there = ['', '-wal', '-shm', '-journal']
    .map((end) => `${file}${end}`)
    .find((name) => existsSync(name))
  if (there === undefined) return
  throw new SpillwayError('Rejected', `${there} is there already: move it away, or choose another name`)
}

async function moveNew(partial: string, file: string): Promise<void> {
  const made = await open(partial)
  await made.chmod(0o600)
  await made.sync()
  await made.close()
  // Takes the name, or rejects: a rename alone would replace what came in the meantime.
  await (await open(file, 'wx')).close()
  await rename(partial, file)
  const folder = await open(dirname(file))
  await folder.sync()
  await folder.close()
}
