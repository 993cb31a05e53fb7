/** Disks that fail under a ledger that is open: I/O errors, and a file system that the kernel makes read-only for them. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openSqliteLedger } from '../../src/billing/store/sqlite.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import { createNamespace } from '../support/furnished-namespace.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'
import { JourneyApp } from '../support/journey-app.ts'
import { TroubleViews } from '../support/trouble-views.ts'
import { until } from '../support/until.ts'
import { lifeOf } from '../support/usage-events.ts'

const run = promisify(execFile)
const never = new AbortController().signal
const outage = { code: 'LedgerUnavailable', reason: 'DiskFailure' }

describe('a ledger whose disk answers with I/O errors', () => {
  let folder: string
  let writer: ChildProcess
  let lines: AsyncIterator<string>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-io-'))
    const program = join(import.meta.dirname, '../support/ledger-writer.ts')
    // A write past the largest file that a process may have is refused, as by a failing disk: with the signal ignored.
    const script = `trap '' XFSZ; exec "$0" "$1" "$2"`
    writer = spawn('sh', ['-c', script, process.execPath, program, join(folder, 'ledger.db')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    lines = createInterface({ input: writer.stdout! })[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('open')
  })
  afterAll(async () => {
    writer.stdin?.end()
    writer.kill()
    await rm(folder, { recursive: true })
  })

  const append = async (pod: string): Promise<unknown> => {
    writer.stdin?.write(`${pod}\n`)
    return (await lines.next()).value
  }
  const mostBytes = (limit: string) => run('prlimit', ['--pid', String(writer.pid), `--fsize=${limit}:`])

  it('refuses what it cannot keep, and keeps the same once the disk takes it', async () => {
    expect(await append('a')).toBe('appended')
    await mostBytes('1')
    expect(await append('b')).toBe('LedgerUnavailable')
    expect(await append('b')).toBe('LedgerUnavailable')
    await mostBytes('unlimited')
    expect(await append('b')).toBe('appended')
    expect(await append('a')).toBe('duplicate')
    const reader = await openSqliteLedger({ file: join(folder, 'ledger.db'), readOnly: true })
    expect((await verifyLedger(reader, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
    await reader.close()
  })
})

describe.skipIf(!existsSync('/dev/loop-control'))('a disk that the kernel makes read-only', () => {
  let folder: string
  let disk: FailingDisk
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-failing-'))
    disk = await FailingDisk.make(folder)
  })
  afterEach(async () => {
    await disk.remove()
    await rm(folder, { recursive: true })
  })

  it(
    'refuses what is written from then on, and whoever opens it; mended, it has lost nothing',
    { timeout: 120_000 },
    async () => {
      const file = join(disk.mountPoint, 'ledger.db')
      const failures: (string | undefined)[] = []
      const ledger = await openSqliteLedger({ file, onRenewal: (failure) => failures.push(failure?.reason) })
      await ledger.append(lifeOf('a', { startMs: fakeEpochMs }), never)
      disk.fail()
      await expect(ledger.append(lifeOf('b', { startMs: fakeEpochMs }), never)).rejects.toMatchObject(outage)
      await until(
        'nothing has to be written to notice it',
        () => Promise.resolve(failures.at(-1) === 'DiskFailure'),
        never,
      )
      await ledger.close()
      const again = await openSqliteLedger({ file })
      await expect(again.append(lifeOf('b', { startMs: fakeEpochMs }), never)).rejects.toMatchObject(outage)
      await again.close()
      await disk.mend()
      const after = await openSqliteLedger({ file })
      expect(await after.append(lifeOf('b', { startMs: fakeEpochMs }), never)).toContain('appended')
      expect(await after.openIntervals(never)).toHaveLength(2)
      expect((await verifyLedger(after, { nowMs: fakeEpochMs }, never)).problems).toEqual([])
      await after.close()
    },
  )

  it(
    'lets nothing new start in a Spillway that runs, while what runs is stopped; mended, all goes on',
    { timeout: 300_000 },
    async () => {
      const backends = [
        { name: 'local', kind: 'simulator', options: { sandboxMs: 10, pullMs: 10, startMs: 10 } },
      ]
      const pools = [{ name: 'burst', backend: 'local', replicas: 1, priceBook: 'flat-demo' }]
      const more = { ledger: { file: join(disk.mountPoint, 'ledger.db') } }
      await using journey = await JourneyApp.start({ clusterName: 'failing', backends, pools, more }, never)
      const views = new TroubleViews(journey, 'shop')
      await createNamespace(journey.api, { name: 'shop' }, never)
      await until('the ledger is well', () => views.says('EveryClaimHolds'), never)
      await views.createOnNode('before')
      await until('a Pod runs', () => views.isRunning('before'), never)

      disk.fail()
      // No Pod begins or ends: the claim alone is written.
      await until('the node says so', () => views.says('LedgerUnavailable'), never)
      const told = async () => (await views.eventsOf('Node', 'burst-0')).includes('LedgerUnavailable')
      await until('there is an event', told, never)
      expect((await views.status()).ledger).toMatchObject({
        status: 'False',
        message: expect.stringContaining('nothing new starts'),
      })
      await views.createOnNode('after')
      const refused = async () => (await views.eventsOf('Pod', 'after')).includes('LedgerUnavailable')
      await until('the Pod is told why', refused, never)
      expect((await views.pod('after'))?.status?.phase).toBe('Pending')
      await views.delete('before')
      await until('what ran is gone', async () => (await views.pod('before')) === undefined, never)

      await journey.end()
      await disk.mend()
      journey.begin()
      await until('the ledger is well again', () => views.says('EveryClaimHolds'), never)
      await until('the Pod that waited runs', () => views.isRunning('after'), never)
    },
  )
})

/** An ext4 file system in a file: the kernel's own way from an error to read-only. */
class FailingDisk {
  readonly mountPoint: string
  readonly #device: string

  private constructor(mountPoint: string, device: string) {
    this.mountPoint = mountPoint
    this.#device = device
  }

  static async make(folder: string): Promise<FailingDisk> {
    const image = join(folder, 'image')
    await writeFile(image, '')
    await truncate(image, 64 << 20)
    await run('mkfs.ext4', ['-q', image])
    const { stdout } = await run('losetup', ['--find', '--show', image])
    const mountPoint = join(folder, 'disk')
    await mkdir(mountPoint)
    const disk = new FailingDisk(mountPoint, stdout.trim())
    await disk.#mount()
    return disk
  }

  /** As if it had found its own structures broken. */
  fail(): void {
    writeFileSync(`/sys/fs/ext4/${basename(this.#device)}/trigger_fs_error`, 'as a test')
  }

  async mend(): Promise<void> {
    await run('umount', [this.mountPoint])
    // Answers 1 when it has mended something.
    await run('fsck.ext4', ['-p', this.#device]).catch((error: { readonly code?: number }) => {
      if (error.code !== 1) throw error
    })
    await this.#mount()
  }

  async remove(): Promise<void> {
    await run('umount', [this.mountPoint])
    await run('losetup', ['--detach', this.#device])
  }

  async #mount(): Promise<void> {
    await run('mount', ['-o', 'errors=remount-ro', this.#device, this.mountPoint])
  }
}
