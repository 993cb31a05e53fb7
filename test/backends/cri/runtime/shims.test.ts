import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { shimsOf } from '../../../../src/backends/cri/runtime/shims.ts'

const processes: ChildProcess[] = []

afterEach(async () => {
  for (const process of processes.splice(0)) {
    const over = once(process, 'exit')
    process.kill('SIGKILL')
    await over
  }
})

/** A process with these words on its command line; answers its id when it is there. */
async function processWith(...words: readonly string[]): Promise<number> {
  const process = spawn('sh', ['-c', 'echo up; read nothing', 'shim', ...words])
  processes.push(process)
  await once(process.stdout, 'data')
  return process.pid ?? 0
}

describe('the shims of a sandbox', () => {
  it('are those that containerd has given its id', async () => {
    const runc = await processWith(
      '-namespace',
      'k8s.io',
      '-id',
      'shims-1',
      '-address',
      '/run/containerd.sock',
    )
    const runsc = await processWith(
      '-namespace',
      'k8s.io',
      '-address',
      '/run/containerd.sock',
      '-id',
      'shims-1',
    )
    await processWith('-namespace', 'k8s.io', '-id', 'shims-2', '-address', '/run/containerd.sock')
    expect(new Set(await shimsOf('shims-1'))).toEqual(new Set([runc, runsc]))
  })

  it('are not the errands of the same program, nor who only has the word', async () => {
    await processWith('-namespace', 'k8s.io', '-id', 'shims-3', '-bundle', '/run/bundle', 'delete')
    await processWith('-namespace', 'k8s.io', '-id', 'shims-3', 'start')
    await processWith('shims-3')
    await processWith('-id')
    expect(await shimsOf('shims-3')).toEqual([])
  })
})
