import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import { logPath, terminationFile } from '../../../../src/backends/cri/paths.ts'
import { terminationMessage } from '../../../../src/backends/cri/translate/termination-message.ts'
import { containerOf } from '../fake-sources.ts'
import { OnePod } from '../one-pod.ts'
import { attempt, ended } from '../seen.ts'

const { signal } = new AbortController()
let pod: OnePod

beforeEach(async () => {
  pod = await OnePod.open()
})

afterEach(async () => await pod.close())

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}

async function messageOf(exitCode: number, terminationMessagePolicy = 'File'): Promise<string> {
  const { paths, tools } = pod.handle
  const container = containerOf({ name: 'main', terminationMessagePolicy })
  const annotations = containerMarks({ generation: 1, container, backoffMs: 0, podIp: '', given: {} })
  const { status } = attempt(0, { ...ended, exitCode, annotations })
  return await terminationMessage({ status, paths, clock: tools.clock, log: tools.log }, signal)
}

describe('the message that a container leaves', () => {
  it('is what it wrote, also when it ended well', async () => {
    await write(terminationFile(pod.handle.paths.podDir, 'main', 0), 'all done')
    expect(await messageOf(0)).toBe('all done')
  })

  it('is the last 4096 bytes of more than that', async () => {
    await write(terminationFile(pod.handle.paths.podDir, 'main', 0), `${'beginning '.repeat(500)}the cause`)
    const message = await messageOf(1)
    expect(message).toHaveLength(4096)
    expect(message.endsWith('beginning the cause')).toBe(true)
  })

  it('is the end of its log when it failed without one, and asked for that', async () => {
    const log = Array.from({ length: 90 }, (_, index) => `2026-01-01T00:00:00Z stdout F line ${index}\n`)
    await write(join(pod.handle.paths.logDir, logPath('main', 0)), log.join(''))
    const lines = (await messageOf(1, 'FallbackToLogsOnError')).trimEnd().split('\n')
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([80, 'line 10', 'line 89'])
    expect(await messageOf(0, 'FallbackToLogsOnError')).toBe('')
    expect(await messageOf(1)).toBe('')
  })
})
