import { appendFile, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readLog } from '../../../../src/backends/cri/logs/read-log.ts'
import { rotateLog } from '../../../../src/backends/cri/logs/rotate-log.ts'
import type { LogOptions } from '../../../../src/backends/backend.ts'
import { systemClock } from '../../../../src/model/clock.ts'
import { silentLog } from '../../../../src/telemetry/log.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const never = new AbortController().signal
const all: LogOptions = { follow: false, previous: false, timestamps: false }
let directory: string
let path: string
let running: boolean

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'spillway-logs-'))
  path = join(directory, '0.log')
  running = true
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

/** One physical line, as containerd writes it. */
function line(text: string, { second = 0, tag = 'F', stream = 'stdout' } = {}): string {
  return `2026-01-02T03:04:${String(second).padStart(2, '0')}.12Z ${stream} ${tag} ${text}\n`
}

function open(options: Partial<LogOptions>, signal = never): Promise<Readable> {
  const input = { path, clock: systemClock, log: silentLog(), isRunning: () => running }
  return readLog({ ...input, options: { ...all, ...options } }, signal)
}

async function shown(options: Partial<LogOptions> = {}): Promise<string> {
  return (await (await open(options)).toArray()).join('')
}

/** Reads on until the text has come. */
async function until(stream: Readable, text: string): Promise<void> {
  let seen = ''
  while (!seen.endsWith(text)) {
    const chunk = stream.read() as Buffer | null
    if (chunk === null) await new Promise((resolve) => stream.once('readable', resolve))
    else seen += chunk.toString()
  }
}

describe('readLog', () => {
  it('shows what both streams wrote, in order', async () => {
    await writeFile(path, line('one') + line('two', { stream: 'stderr' }) + line(''))
    expect(await shown()).toBe('one\ntwo\n\n')
  })

  it('joins the parts of a long line', async () => {
    await writeFile(path, line('be', { tag: 'P' }) + line('gin', { tag: 'P' }) + line('ning') + line('end'))
    expect(await shown()).toBe('beginning\nend\n')
    expect(await shown({ timestamps: true })).toBe(
      '2026-01-02T03:04:00.120000000Z beginning\n2026-01-02T03:04:00.120000000Z end\n',
    )
  })

  it('shows the last lines, a line in parts counting as one', async () => {
    await writeFile(
      path,
      line('a') + line('b') + line('lo', { tag: 'P' }) + line('ng') + line('half', { tag: 'P' }),
    )
    expect(await shown({ tailLines: 0 })).toBe('')
    expect(await shown({ tailLines: 1 })).toBe('half')
    expect(await shown({ tailLines: 2 })).toBe('long\nhalf')
    expect(await shown({ tailLines: 3 })).toBe('b\nlong\nhalf')
    expect(await shown({ tailLines: 9 })).toBe('a\nb\nlong\nhalf')
  })

  it('finds the tail of any log as if it had read it all', async () => {
    const lines = fc.array(fc.record({ size: fc.nat(30_000), part: fc.boolean() }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lines, fc.nat(6), async (written, tailLines) => {
        const text = written.map(({ size, part }, at) =>
          line(`${at}${'x'.repeat(size)}`, { tag: part ? 'P' : 'F' }),
        )
        await writeFile(path, text.join(''))
        const whole = (await shown()).split(/(?<=\n)/)
        expect(await shown({ tailLines })).toBe(tailLines === 0 ? '' : whole.slice(-tailLines).join(''))
      }),
      { numRuns: 40 },
    )
  })

  it('leaves out what is older than asked', async () => {
    await writeFile(path, line('old', { second: 1 }) + line('new', { second: 2 }))
    expect(await shown({ sinceMs: Date.parse('2026-01-02T03:04:02Z') })).toBe('new\n')
    expect(await shown({ sinceMs: Date.parse('2026-01-02T03:04:03Z') })).toBe('')
  })

  it('stops at the limit of bytes, in the middle of a line if need be', async () => {
    await writeFile(path, line('abcdef') + line('ghi'))
    expect(await shown({ limitBytes: 4 })).toBe('abcd')
    expect(await shown({ limitBytes: 8 })).toBe('abcdef\ng')
  })

  it('leaves out lines in no format, and shows a last line without its newline', async () => {
    await writeFile(path, `nonsense\n${line('a')}${line('b').trimEnd()}`)
    expect(await shown()).toBe('a\nb')
  })

  it('passes bytes that are no text', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe])
    await writeFile(
      path,
      Buffer.concat([Buffer.from('2026-01-02T03:04:05Z stdout F '), bytes, Buffer.from('\n')]),
    )
    expect(Buffer.concat((await (await open({})).toArray()) as Buffer[])).toEqual(
      Buffer.from([0xff, 0, 0xfe, 10]),
    )
  })

  it('says when there is no log', async () => {
    await expect(open({})).rejects.toMatchObject({ code: 'NotFound' })
  })
})

describe('readLog, following', () => {
  it('shows new lines as they come, and ends after the container, all read', async () => {
    await writeFile(path, line('one'))
    const stream = await open({ follow: true })
    await until(stream, 'one\n')
    const whole = line('two')
    await appendFile(path, whole.slice(0, 20))
    await appendFile(path, whole.slice(20))
    await until(stream, 'two\n')
    await appendFile(path, line('last'))
    running = false
    await appendFile(path, line('words'))
    expect((await stream.toArray()).join('')).toBe('last\nwords\n')
  })

  it('begins at the end with a tail of 0', async () => {
    await writeFile(path, line('old'))
    const stream = await open({ follow: true, tailLines: 0 })
    stream.resume().pause()
    await appendFile(path, line('new'))
    await until(stream, 'new\n')
    running = false
    expect(await stream.toArray()).toEqual([])
  })

  it('goes on in the new file after a rotation, without losing what was written in between', async () => {
    await writeFile(path, line('1'))
    const stream = await open({ follow: true })
    await until(stream, '1\n')
    await rename(path, `${path}.rotated`)
    await appendFile(`${path}.rotated`, line('2'))
    await writeFile(path, '')
    await appendFile(`${path}.rotated`, line('3'))
    await appendFile(path, line('4'))
    await until(stream, '4\n')
    running = false
    expect(await stream.toArray()).toEqual([])
  })

  it('ends without error when the reader goes', async () => {
    await writeFile(path, line('one'))
    const stop = new AbortController()
    const stream = await open({ follow: true }, stop.signal)
    await until(stream, 'one\n')
    stop.abort()
    expect(await stream.toArray()).toEqual([])
  })

  it('ends at once for a container that has ended', async () => {
    await writeFile(path, line('one'))
    running = false
    expect(await shown({ follow: true })).toBe('one\n')
  })
})

describe('rotateLog', () => {
  const policy = { maxBytes: 10, maxFiles: 4 }
  let clock: FakeClock
  let reopened: number

  beforeEach(() => {
    clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5))
    reopened = 0
  })

  function rotate(): Promise<boolean> {
    const reopen = async (): Promise<void> => {
      reopened += 1
      await writeFile(path, '')
    }
    return rotateLog({ path, policy, clock, reopen }, never)
  }

  it('leaves a small log alone', async () => {
    await writeFile(path, 'small')
    expect(await rotate()).toBe(false)
    expect(await readdir(directory)).toEqual(['0.log'])
  })

  it('keeps so many files, the last plain and the older ones compressed', async () => {
    for (let round = 0; round < 5; round += 1) {
      await writeFile(path, `round ${round} is long enough`)
      expect(await rotate()).toBe(true)
      await clock.advance(1000)
    }
    const names = (await readdir(directory)).sort()
    expect(names).toEqual([
      '0.log',
      '0.log.20260102-030407.gz',
      '0.log.20260102-030408.gz',
      '0.log.20260102-030409',
    ])
    const packed = await readFile(join(directory, '0.log.20260102-030408.gz'))
    expect(gunzipSync(packed).toString()).toBe('round 3 is long enough')
    expect(reopened).toBe(5)
  })

  it('puts the file back when the runtime does not reopen it', async () => {
    await writeFile(path, 'long enough to rotate')
    const reopen = (): Promise<void> => Promise.reject(new Error('no'))
    await expect(rotateLog({ path, policy, clock, reopen }, never)).rejects.toThrow('no')
    expect(await readFile(path, 'utf8')).toBe('long enough to rotate')
  })

  it('leaves the new file alone when the runtime made it, and its answer was lost', async () => {
    await writeFile(path, 'long enough to rotate')
    const reopen = async (): Promise<void> => {
      await writeFile(path, 'new')
      throw new Error('no answer')
    }
    await expect(rotateLog({ path, policy, clock, reopen }, never)).rejects.toThrow('no answer')
    expect(await readFile(path, 'utf8')).toBe('new')
    expect(await readFile(join(directory, '0.log.20260102-030405'), 'utf8')).toBe('long enough to rotate')
  })

  it('mends a rotation that died before the runtime reopened', async () => {
    expect(await rotate()).toBe(true)
    expect(await readdir(directory)).toEqual(['0.log'])
  })
})
