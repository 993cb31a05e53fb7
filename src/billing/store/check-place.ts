import { existsSync } from 'node:fs'
import type { LedgerConfig } from '../../config/ledger.ts'
import { hasCode, SpillwayError } from '../../model/errors.ts'
import type { LedgerStore } from '../ledger.ts'
import { checkNewEvents, checkStillThere, firstUnreadable } from '../new-events-check.ts'
import { verifyLedger, type LedgerProblem } from '../verify.ts'
import type { CheckAnswer, CheckedLedger, CheckRequest } from './check-messages.ts'
import { databaseKind, failureOf, type DatabaseKind } from './database-kind.ts'
import type { OpenedLedger, StillLedger } from './opened-ledger.ts'

const never = new AbortController().signal

/** Checks a ledger in this thread, with a connection of its own. `breathe` is called before each page; it may throw. */
export async function checkPlace(request: CheckRequest, breathe: () => void): Promise<CheckAnswer> {
  const kind = await databaseKind(request.location)
  try {
    return { ok: true, checked: await check(request, breathe, kind) }
  } catch (error) {
    return { ok: false, ...failureOf(error, kind) }
  }
}

/** Each of its calls takes a breath first, and is rejected with an error of the table. */
function breathing({ ledger, close }: OpenedLedger, kind: DatabaseKind, breathe: () => void): LedgerStore {
  const store: LedgerStore = Object.assign(ledger, { close })
  return new Proxy(store, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return async (...args: readonly unknown[]): Promise<unknown> => {
        breathe()
        try {
          return (await Reflect.apply(method, target, args)) as unknown
        } catch (error) {
          throw asOurs(error, kind)
        }
      }
    },
  })
}

function asOurs(error: unknown, kind: DatabaseKind): SpillwayError {
  const { code, message, reason } = failureOf(error, kind)
  return new SpillwayError(code, message, { cause: error, ...(reason !== undefined && { reason }) })
}

async function check(request: CheckRequest, breathe: () => void, kind: DatabaseKind): Promise<CheckedLedger> {
  refuseMissing(request.location)
  const { environment } = request
  const opened = await kind.open({ claimant: undefined, environment })
  try {
    const still = await opened.holdStill(breathe)
    const problems = still.problems.map((message): LedgerProblem => {
      return { claim: 'the database finds its own pages whole', message }
    })
    const ledger = breathing(opened, kind, breathe)
    for (const position of [request.after, request.written]) {
      if (position) problems.push(...(await checkStillThere(ledger, position, never)))
    }
    try {
      const checked = await readAll(ledger, request, problems)
      refuseIfMoved(still)
      return checked
    } catch (error) {
      refuseIfMoved(still)
      throw error
    }
  } finally {
    await opened.close()
  }
}

/** What was read of two moments may contradict itself, and says nothing. */
function refuseIfMoved(still: StillLedger): void {
  if (still.isStill()) return
  throw new SpillwayError('LedgerUnavailable', 'the connection was lost in the midst of the check')
}

/** Opened for reading, a database only says that it cannot be opened, whatever the reason. */
function refuseMissing(location: LedgerConfig): void {
  if (location.kind === 'postgres' || existsSync(location.file)) return
  throw new SpillwayError('LedgerCorrupt', `${location.file} is not there any more`)
}

async function readAll(
  ledger: LedgerStore,
  { after, nowMs }: CheckRequest,
  found: readonly LedgerProblem[],
): Promise<CheckedLedger> {
  try {
    if (after) {
      const report = await checkNewEvents(ledger, after, never)
      return { scope: 'new', report: { ...report, problems: [...found, ...report.problems] } }
    }
    const report = await verifyLedger(ledger, { nowMs }, never)
    return { scope: 'all', report: { ...report, problems: [...found, ...report.problems] } }
  } catch (error) {
    if (!hasCode(error, 'LedgerCorrupt')) throw error
    const seq = await firstUnreadable(ledger, never)
    const where = [...found.map(({ message }) => message), ...(seq === undefined ? [] : [`event ${seq}`])]
    throw new SpillwayError('LedgerCorrupt', [...where, error.message].join(': '), { cause: error })
  }
}
