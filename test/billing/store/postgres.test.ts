import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LedgerStore } from '../../../src/billing/ledger.ts'
import { shippedPriceBooks } from '../../../src/billing/shipped-price-books.ts'
import { checkPlace } from '../../../src/billing/store/check-place.ts'
import { openPostgresPlace } from '../../../src/billing/store/postgres-place.ts'
import { openPostgresLedger, type PostgresLedgerOptions } from '../../../src/billing/store/postgres.ts'
import { verifyLedger } from '../../../src/billing/verify.ts'
import { runCli } from '../../../src/cli/program.ts'
import { findFreePorts } from '../../../src/dev-cluster/free-ports.ts'
import { CertificateAuthority } from '../../../src/dev-cluster/pki.ts'
import { errorMessage, hasCode, type SpillwayError } from '../../../src/model/errors.ts'
import { asPodUid } from '../../../src/model/pod-key.ts'
import { testLedgerStore, type LedgerPlace } from '../../conformance/ledger-store.ts'
import { testLedgerWriters } from '../../conformance/ledger-writers.ts'
import { FakeClock, fakeEpochMs } from '../../support/fake-clock.ts'
import { openLedger } from '../../support/open-ledger.ts'
import { startPostgres, type PostgresServer } from '../../support/postgres-server.ts'
import { until } from '../../support/until.ts'
import { lifeOf } from '../../support/usage-events.ts'

const never = new AbortController().signal
const page = { afterSeq: 0, limit: 100_000 }
const life = (pod: string) => lifeOf(pod, { startMs: fakeEpochMs, endMs: fakeEpochMs + 1000 })

let server: PostgresServer
let places = 0

beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  await server.destroy()
})

function makePlace(): Promise<LedgerPlace> {
  places += 1
  const schema = `ledger_${places}`
  return Promise.resolve({
    url: server.ledgerUrl(schema),
    letClaimExpire: async () => void (await server.query(`update ${schema}.writer set renewed_ms = 0`)),
    remove: async () => void (await server.query(`drop schema ${schema} cascade`)),
  })
}

// Read by a thread of its own from the first event on; what else is here has one thread for both.
testLedgerStore('PostgreSQL', makePlace, { readerFromEvents: 0 })
testLedgerWriters('PostgreSQL', makePlace)

describe('the PostgreSQL ledger', { timeout: 60_000 }, () => {
  let place: LedgerPlace
  let schema: string
  let opened: LedgerStore[]
  beforeEach(async () => {
    place = await makePlace()
    schema = `ledger_${places}`
    opened = []
  })
  afterEach(async () => {
    for (const ledger of opened) await ledger.close()
    await server.query(`drop schema if exists ${schema} cascade`)
  })
  const open: typeof openLedger = async (url, options) => {
    const ledger = await openLedger(url, options)
    opened.push(ledger)
    return ledger
  }
  const append = (ledger: LedgerStore, pod: string) => ledger.append(life(pod), never)
  const podsIn = async (ledger: LedgerStore): Promise<string[]> => [
    ...new Set((await ledger.events(page, never)).map(({ event }) => event.podUid)),
  ]
  /** Has each insert of an event do this first, in the session that does it. */
  const beforeEachEvent = async (statement: string): Promise<void> => {
    await server.query(`
      create function ${schema}.first() returns trigger language plpgsql as $$ begin ${statement}; return new; end $$;
      create trigger first before insert on ${schema}.event for each row execute function ${schema}.first()`)
  }

  it('lets nobody change, remove or cut off events', async () => {
    await append(await open(place.url), 'a')
    for (const change of ["update event set body = '{}'", 'delete from event', 'truncate event']) {
      const statement = change.replace('event', `${schema}.event`)
      await expect(server.query(statement)).rejects.toThrow('append-only')
    }
  })

  it('makes the server keep what it acknowledges, where it is told not to by default', async () => {
    await server.query('alter role spillway set synchronous_commit to off')
    const ledger = await open(place.url)
    await server.query(`create table ${schema}.seen (setting text)`)
    await beforeEachEvent(`insert into ${schema}.seen select current_setting('synchronous_commit')`)
    await append(ledger, 'a')
    await server.query('alter role spillway reset synchronous_commit')
    expect(await server.query(`select distinct setting from ${schema}.seen`)).toEqual([{ setting: 'on' }])
  })

  it('refuses a server that may lose what it acknowledged', async () => {
    await server.stop()
    await server.start({ fsync: 'off' })
    await expect(open(place.url)).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('fsync = off'),
    })
    await server.stop()
    await server.start()
  })

  it('is unavailable while its server is, and then goes on', async () => {
    const ledger = await open(place.url)
    await append(ledger, 'a')
    await server.stop()
    for (const call of [append(ledger, 'b'), ledger.history(asPodUid('a'), never)]) {
      await expect(call).rejects.toMatchObject({ code: 'LedgerUnavailable' })
    }
    await server.start()
    await append(ledger, 'b')
    expect(await podsIn(ledger)).toEqual(['a', 'b'])
  })

  it('has after a crash of its server what it acknowledged, and goes on', async () => {
    const ledger = await open(place.url)
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    const appends = Array.from({ length: 20 }, (_, index) => append(ledger, `pod-${index}`))
    await appends[0]
    await server.kill()
    const outcomes = await Promise.allSettled(appends)
    await server.start()
    await append(ledger, 'later')
    const pods = await podsIn(ledger)
    const kept = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [`pod-${index}`] : []))
    expect(kept).toContain('pod-0')
    expect(pods).toEqual(expect.arrayContaining([...kept, 'later']))
    expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
  })

  it('takes an append while something is read', async () => {
    const ledger = await open(place.url, { readerFromEvents: 0 })
    await append(ledger, 'a')
    const blocker = await server.session()
    await blocker.query(`begin; lock table ${schema}.adjustment in access exclusive mode`)
    const reading = ledger.adjustments({ fromMs: 0, toMs: fakeEpochMs }, never)
    await until(
      'it is being read',
      async () => (await server.query('select 1 from pg_locks where not granted')).length > 0,
      never,
    )
    await append(ledger, 'b')
    await blocker.query('rollback')
    await blocker.end()
    expect(await reading).toEqual([])
    expect(await podsIn(ledger)).toEqual(['a', 'b'])
  })

  it('reads on when the session that reads was ended', async () => {
    const ledger = await open(place.url, { readerFromEvents: 0 })
    await append(ledger, 'a')
    expect(await podsIn(ledger)).toEqual(['a'])
    // The younger of the two.
    await server.query(`
      select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where application_name = 'spillway ledger' order by backend_start desc limit 1`)
    await until(
      'the ledger has heard of it',
      async () => (await podsIn(ledger).catch(() => [])).length > 0,
      never,
    )
    await append(ledger, 'b')
    expect(await podsIn(ledger)).toEqual(['a', 'b'])
  })

  it('does not mind that its idle session is ended', async () => {
    const ledger = await open(place.url)
    await append(ledger, 'a')
    await server.query(
      "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'spillway ledger'",
    )
    await until(
      'the ledger has heard of it',
      async () => (await append(ledger, 'b').catch(() => [])).length > 0,
      never,
    )
    await expect(open(place.url)).rejects.toMatchObject({
      message: expect.stringContaining('another Spillway'),
    })
  })

  it('tells a read-only server, a full disk and a damaged page apart', async () => {
    const ledger = await open(place.url)
    await beforeEachEvent(`
      if new.pod_uid = 'read-only' then raise exception 'x' using errcode = '25006'; end if;
      if new.pod_uid = 'full' then raise exception 'x' using errcode = '53100'; end if;
      if new.pod_uid = 'damaged' then raise exception 'x' using errcode = 'XX001'; end if`)
    await expect(append(ledger, 'read-only')).rejects.toMatchObject({
      code: 'LedgerUnavailable',
      message: expect.stringContaining('read-only'),
    })
    await expect(append(ledger, 'full')).rejects.toMatchObject({
      code: 'LedgerUnavailable',
      reason: 'DiskFailure',
    })
    await expect(append(ledger, 'damaged')).rejects.toMatchObject({ code: 'LedgerCorrupt' })
    await append(ledger, 'fine')
    expect(await podsIn(ledger)).toEqual(['fine'])
  })

  it('is checked as of one moment, and by one connection', async () => {
    const ledger = await open(place.url)
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    await append(ledger, 'fine')
    const location = { kind: 'postgres', url: place.url, passwordFile: undefined } as const
    const whole = { nowMs: fakeEpochMs, after: undefined, written: await ledger.head(never), rests: false }
    const answer = await checkPlace({ location, environment: {}, ...whole }, () => {})
    expect(answer).toMatchObject({ ok: true, checked: { scope: 'all', report: { events: 3, problems: [] } } })

    const reader = await openPostgresPlace({ ...location, claimant: undefined, environment: {} })
    const still = await reader.holdStill(() => {})
    expect((await reader.ledger.head()).seq).toBe(3)
    await append(ledger, 'later')
    expect([(await reader.ledger.head()).seq, still.isStill()]).toEqual([3, true])
    await server.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'`,
    )
    await until(
      'it has connected again',
      async () => (await reader.ledger.head().catch(() => undefined))?.seq === 6,
      never,
    )
    expect(still.isStill()).toBe(false)
    await reader.close()
  })

  it('tells the planner what it holds once it has grown, and again when it has doubled', async () => {
    const claimant = { clusterUid: undefined, holder: 'one', holderName: 'this test', resume: false }
    const location = { url: place.url, passwordFile: undefined, environment: {} }
    const opened = await openPostgresPlace({ ...location, claimant })
    await server.query(`alter table ${schema}.event set (autovacuum_enabled = off)`)
    const grow = async (from: number, count: number): Promise<number> => {
      const lives = Array.from({ length: count }, (_, index) => life(`pod-${from + index}`))
      await opened.ledger.append(lives.flat())
      await opened.renew()
      const table = `where relname = 'event' and relnamespace = '${schema}'::regnamespace`
      return Number((await server.query(`select reltuples from pg_class ${table}`))[0]?.['reltuples'])
    }
    const known = [await grow(0, 300), await grow(300, 100), await grow(400, 300), await grow(700, 200)]
    expect(known).toEqual([-1, 1200, 1200, 2700])
    await opened.close()
  })

  it('is refused when a newer program wrote it', async () => {
    await (await open(place.url)).close()
    await server.query(`insert into ${schema}.schema_version values (99)`)
    for (const readOnly of [true, false]) {
      await expect(open(place.url, { readOnly })).rejects.toMatchObject({
        code: 'Rejected',
        message: expect.stringContaining('schema version 99'),
      })
    }
  })

  it('is not made by reading it', async () => {
    await expect(open(place.url, { readOnly: true })).rejects.toMatchObject({
      code: 'LedgerUnavailable',
      message: expect.stringContaining(`no ledger in schema "${schema}"`),
    })
    expect(await server.query(`select 1 from pg_namespace where nspname = '${schema}'`)).toEqual([])
  })

  it('stops waiting for a server that is busy when the signal says so, and the event is there later', async () => {
    const ledger = await open(place.url)
    const blocker = await server.session()
    await blocker.query(`begin; lock table ${schema}.event in access exclusive mode`)
    const stop = new AbortController()
    const waiting = ledger.append(life('a'), stop.signal)
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await blocker.query('rollback')
    await blocker.end()
    expect(await podsIn(ledger)).toEqual(['a'])
  })

  it('is taken from a process that was stopped in the middle of whatever it did', async () => {
    const script = join(import.meta.dirname, '../../support/append-events.ts')
    const child = spawn('node', [script, place.url], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    const told: string[] = []
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => told.push(line))
    await until('it writes', () => Promise.resolve(told.length > 20), never)
    child.kill('SIGSTOP')
    const ledger = await takeOver()
    await append(ledger, 'mine')
    child.kill('SIGCONT')
    await exited
    expect(told.at(-1)).toBe('LedgerTakenOver')
    const events = await ledger.events(page, never)
    const ids = events.map(({ event }) => event.id)
    expect(told.slice(0, -1).filter((id) => !ids.includes(id))).toEqual([])
    expect(events.at(-1)?.event.podUid).toBe('mine')
    expect((await verifyLedger(ledger, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
  })
  const takeOver = async (): Promise<LedgerStore> => {
    for (;;) {
      await place.letClaimExpire()
      try {
        return await open(place.url)
      } catch (error) {
        if (!hasCode(error, 'LedgerUnavailable')) throw error
      }
    }
  }

  it('is refused to a writer whose claim goes to another between its question and its write', async () => {
    const ledger = await open(place.url)
    await append(ledger, 'a')
    const other = await server.session()
    await other.query(`begin; update ${schema}.writer set epoch = epoch + 1, holder = 'other'`)
    const waiting = append(ledger, 'b').catch((error: unknown) => error)
    await until(
      'its write waits for the other one',
      async () => (await server.query('select 1 from pg_locks where not granted')).length > 0,
      never,
    )
    await other.query('commit')
    await other.end()
    expect(await waiting).toMatchObject({ code: 'LedgerTakenOver' })
    expect(await podsIn(ledger)).toEqual(['a'])
  })

  it('can be read by a role that may do nothing else, from the command line', async () => {
    const ledger = await open(place.url)
    await ledger.keepPriceBooks(shippedPriceBooks, never)
    await append(ledger, 'a')
    await server.query(`
      create role reader login; grant usage on schema ${schema} to reader;
      grant select on all tables in schema ${schema} to reader`)
    const told: string[] = []
    const context = {
      environment: {},
      clock: new FakeClock(),
      random: () => 0.5,
      stdout: { write: (text: string) => told.push(text) },
      stderr: { write: (text: string) => told.push(text) },
      signal: never,
    }
    const url = server.ledgerUrl(schema, 'reader')
    expect([await runCli(['ledger', 'verify', '--ledger', url], context), told.join('')]).toEqual([
      0,
      expect.stringContaining('3 events, 1 Pods'),
    ])
    expect(await runCli(['bill', '--ledger', 'postgresql://me:geheim@db/x'], context)).toBe(2)
    expect(told.join('')).toContain('holds a password')
    expect(told.join('')).not.toContain('geheim')
    await server.query(`drop schema ${schema} cascade; drop role reader`)
  })

  it('stands beside others in one database, each numbered on its own', async () => {
    const other = await makePlace()
    const [one, two] = [await open(place.url), await open(other.url)]
    await Promise.all([append(one, 'a'), append(two, 'b')])
    expect([await podsIn(one), await podsIn(two)]).toEqual([['a'], ['b']])
    const [first] = await two.events(page, never)
    expect(first?.seq).toBe(1)
    await two.close()
    await other.remove()
  })

  it('needs no more than a schema that belongs to its role', async () => {
    await server.query(`create role clerk login; create schema ${schema} authorization clerk`)
    const url = server.ledgerUrl(schema, 'clerk')
    await append(await open(url), 'a')
    await place.letClaimExpire()
    await append(await open(url), 'b')
    await Promise.all(opened.map((ledger) => ledger.close()))
    await server.query(`drop schema ${schema} cascade; drop role clerk`)
  })
})

describe('a PostgreSQL ledger over the network', { timeout: 60_000 }, () => {
  it('gives its password from a file or the environment, over a line that is proven', async () => {
    const [port] = await findFreePorts(1)
    const authority = await CertificateAuthority.open(server.folder, 'ca', Date.now())
    const issued = await authority.issue(
      { fileName: 'db', commonName: 'db', dnsNames: ['localhost'], usages: ['server'] },
      Date.now(),
    )
    const certificate = await server.give('server.crt', await readFile(issued.certFile, 'utf8'))
    const key = await server.give('server.key', await readFile(issued.keyFile, 'utf8'))
    const root = authority.certFile
    await server.query("create role clerk login password 'geheim'; create schema net authorization clerk")
    await server.stop()
    await server.start({
      listen_addresses: 'localhost',
      port: String(port),
      ssl: 'on',
      ssl_cert_file: certificate,
      ssl_key_file: key,
    })
    const place = `postgresql://clerk@localhost:${port}/postgres?schema=net`
    const proven = `${place}&sslmode=verify-full&sslrootcert=${root}`
    const passwordFile = await server.give('password', 'geheim\n')
    const openWith = async (
      options: Omit<PostgresLedgerOptions, 'environment'>,
      environment = {},
    ): Promise<string> => {
      try {
        await (await openPostgresLedger({ environment, ...options })).close()
        return 'open'
      } catch (error) {
        return `${(error as SpillwayError).code}: ${errorMessage(error)}`
      }
    }
    expect(await openWith({ url: proven, passwordFile })).toBe('open')
    expect(await openWith({ url: proven }, { PGPASSWORD: 'geheim' })).toBe('open')
    expect(await openWith({ url: `${place}&sslmode=require`, passwordFile })).toBe('open')
    expect(await openWith({ url: place }, { PGPASSWORD: 'geheim', PGSSLMODE: 'disable' })).toBe('open')
    const wrong = await openWith({ url: proven }, { PGPASSWORD: 'falsch' })
    expect(wrong).toMatch(/^LedgerUnavailable: .*password authentication failed/)
    expect(wrong).not.toContain('falsch')
    expect(await openWith({ url: `${place}&sslmode=verify-full`, passwordFile })).toMatch(
      /^LedgerUnavailable: .*certificate/,
    )
    await server.stop()
    await server.start()
    await server.query('drop schema net cascade; drop role clerk')
  })
})
