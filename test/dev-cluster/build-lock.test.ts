import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { withMachineLock } from '../../src/dev-cluster/build-lock.ts'

const { signal } = new AbortController()
let counter = 0
const freshName = (): string => `test/${process.pid}/${counter++}`

/** Another process that holds the lock until it is killed. */
const holder = `
  const { withMachineLock } = await import(process.argv[1])
  const keepAlive = setInterval(() => undefined, 1000)
  await withMachineLock(process.argv[2], () => {
    process.stdout.write('held')
    return new Promise(() => undefined)
  }, new AbortController().signal)
`

describe('a lock of the machine', () => {
  it('lets one run after the other', async () => {
    const name = freshName()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { promise: waiting, resolve: isWaiting } = Promise.withResolvers<void>()
    const order: string[] = []
    const first = withMachineLock(
      name,
      async () => {
        await released
        order.push('first')
      },
      signal,
    )
    const second = withMachineLock(name, async () => void order.push('second'), signal, isWaiting)
    await waiting
    release()
    await Promise.all([first, second])
    expect(order).toEqual(['first', 'second'])
  })

  it('is free again after work that failed', async () => {
    const name = freshName()
    const failing = withMachineLock(name, () => Promise.reject(new Error('no')), signal)
    await expect(failing).rejects.toThrow('no')
    expect(await withMachineLock(name, async () => 'yes', signal)).toBe('yes')
  })

  it('is free again when its holder is killed', async () => {
    const name = freshName()
    const module = new URL('../../src/dev-cluster/build-lock.ts', import.meta.url).href
    const child = spawn(process.execPath, ['--input-type=module', '-e', holder, module, name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const taken = withMachineLock(
      name,
      async () => 'taken over',
      signal,
      () => child.kill('SIGKILL'),
    )
    expect(await taken).toBe('taken over')
  })

  it('is not waited for any more when told to stop', async () => {
    const name = freshName()
    const stop = new AbortController()
    await withMachineLock(
      name,
      async () => {
        const waiting = withMachineLock(
          name,
          async () => 'never',
          stop.signal,
          () => stop.abort(),
        )
        await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
      },
      signal,
    )
  })
})
