import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { keepLogs } from '../../../../src/backends/cri/logs/log-keeper.ts'
import { createLog } from '../../../../src/telemetry/log.ts'
import { settled } from '../../../support/fake-clock.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const long = 'x'.repeat(20)
let pod: OnePod
let warned: string[]
let end: AbortController
let keeping: Promise<void>

beforeEach(async () => {
  pod = await OnePod.open()
  warned = []
  end = new AbortController()
  await pod.put(
    sandbox(),
    containerNamed('main', 3),
    containerNamed('proxy'),
    containerNamed('done', 0, ended),
  )
  for (const [name, number] of [
    ['main', 3],
    ['proxy', 0],
    ['done', 0],
  ] as const) {
    await mkdir(join(pod.handle.paths.logDir, name), { recursive: true })
    await writeFile(log(name, number), long)
  }
  pod.runtime.before = async (call) => {
    const [, name = '', number = ''] = /^reopen (.+)-(\d+)$/.exec(call) ?? []
    await writeFile(log(name, Number(number)), '')
  }
  const { settings } = pod.handle.tools
  const options = { ...settings.options, logMaxBytes: 20, logMaxFiles: 3 }
  const destination = { write: (line: string) => void warned.push(line) }
  const tools = {
    ...pod.handle.tools,
    settings: { ...settings, options },
    log: createLog({ level: 'warn', destination }),
  }
  keeping = keepLogs(tools, () => [pod.handle], end.signal)
})

afterEach(async () => {
  end.abort()
  await keeping
  await pod.close()
})

function log(name: string, number: number): string {
  return join(pod.handle.paths.logDir, name, `${number}.log`)
}

async function files(name: string): Promise<number> {
  return (await readdir(join(pod.handle.paths.logDir, name))).length
}

/** The next look is over. */
async function look(): Promise<void> {
  await pod.clock.whenPending(1)
  await pod.clock.advance(2_000)
  await pod.clock.whenPending(1)
}

describe('the logs of containers', () => {
  it('are rotated every two seconds when they have grown too large, those of all that run', async () => {
    await look()
    expect(pod.runtime.calls).toEqual(['reopen main-3', 'reopen proxy-0'])
    expect([await files('main'), await files('proxy'), await files('done')]).toEqual([2, 2, 1])
    await look()
    expect(pod.runtime.calls).toHaveLength(2)
    for (let round = 0; round < 4; round++) {
      await writeFile(log('main', 3), long)
      await look()
    }
    // As many as the settings say.
    expect(await files('main')).toBe(3)
    expect(await readFile(log('main', 3), 'utf8')).toBe('')
  })

  it('are rotated past one that cannot be, which is tried again', async () => {
    const reopen = pod.runtime.before
    pod.runtime.before = (call) => {
      if (call === 'reopen main-3') throw new Error('no answer')
      return reopen(call)
    }
    await look()
    expect(await files('proxy')).toBe(2)
    expect(await readFile(log('main', 3), 'utf8')).toBe(long)
    expect(warned).toEqual([expect.stringContaining('no answer')])
    pod.runtime.before = reopen
    await look()
    expect(await files('main')).toBe(2)
    expect(warned).toHaveLength(1)
  })

  it('are left alone once the process ends, in the middle of a look too, without complaint', async () => {
    pod.runtime.before = () => {
      end.abort()
      throw new Error('no answer')
    }
    await pod.clock.whenPending(1)
    await pod.clock.advance(2_000)
    await keeping
    expect(pod.runtime.calls).toEqual(['reopen main-3'])
    expect(warned).toEqual([])
    await settled()
    expect(pod.clock.pending).toBe(0)
  })
})
