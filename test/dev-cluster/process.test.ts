import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseProcessStat } from '../../src/dev-cluster/process-table.ts'
import {
  isRunning,
  logTail,
  signalProcess,
  startProcess,
  stopProcess,
} from '../../src/dev-cluster/process.ts'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import { systemClock as clock } from '../../src/model/clock.ts'

const never = new AbortController().signal
const environment = { PATH: process.env['PATH'] }
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-process-'))
})

afterAll(async () => {
  await rm(dir, { recursive: true })
})

function shell(script: string) {
  const program = { file: 'sh', args: ['-c', script], environment }
  const logFile = join(dir, 'shell.log')
  return startProcess(program, { logFile, workingDir: dir, diesWithUs: true })
}

async function untilLogged(line: string): Promise<void> {
  await waitUntil(
    async () => ((await logTail(join(dir, 'shell.log'), 1)) === line ? true : undefined),
    { condition: `the log ends with "${line}"`, timeoutMs: 10_000, clock },
    never,
  )
}

describe('a started process', () => {
  it('runs until it is stopped, and its output is in the log', async () => {
    const record = await shell('echo hello; exec sleep 1000')
    expect(await isRunning(record)).toBe(true)
    await untilLogged('hello')
    await stopProcess(record, { graceMs: 0, clock }, never)
    expect(await isRunning(record)).toBe(false)
  })

  it('is killed when it does not mind being asked', async () => {
    const record = await shell('trap "" TERM; echo deaf; while :; do sleep 1; done')
    await untilLogged('deaf')
    await stopProcess(record, { graceMs: 100, clock }, never)
    expect(await isRunning(record)).toBe(false)
  })

  it('is never mistaken for another process that has its pid now', async () => {
    const record = await shell('exec sleep 1000')
    const earlier = { ...record, startTicks: String(Number(record.startTicks) - 1) }
    const beforeReboot = { ...record, bootId: 'another' }
    for (const stale of [earlier, beforeReboot]) {
      expect(await isRunning(stale)).toBe(false)
      expect(await signalProcess(stale, 'SIGKILL')).toBe(false)
      await stopProcess(stale, { graceMs: 0, clock }, never)
    }
    expect(await isRunning(record)).toBe(true)
    await stopProcess(record, { graceMs: 0, clock }, never)
  })

  it('is told of when its program does not exist', async () => {
    const program = { file: '/no/such/program', args: [], environment }
    const options = { logFile: join(dir, 'none.log'), workingDir: dir, diesWithUs: false }
    await expect(startProcess(program, options)).rejects.toThrow('/no/such/program cannot be run')
  })
})

describe('a line of /proc/PID/stat', () => {
  it('is read past a name with spaces and brackets', () => {
    const rest = 'S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 0 0'
    expect(parseProcessStat(`42 (a) b (c) ${rest}`)).toEqual({
      pid: 42,
      parentPid: 7,
      state: 'S',
      startTicks: '987654',
    })
  })

  it('agrees with the kernel about ourselves', async () => {
    const line = await readFile('/proc/self/stat', 'utf8')
    expect(parseProcessStat(line)).toMatchObject({ pid: process.pid, parentPid: process.ppid })
  })
})
