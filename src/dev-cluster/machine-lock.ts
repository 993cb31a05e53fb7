import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Clock } from '../model/clock.ts'

/**
 * Runs the work while no other process of this machine holds the lock of that name; resolves to undefined without
 * running it when that takes longer than `patienceMs`. The lock is a listening socket in Linux' abstract namespace: no
 * file is left behind, and the kernel frees it however its holder ends.
 */
export async function withMachineLock<T>(
  name: string,
  { patienceMs, clock }: { readonly patienceMs: number; readonly clock: Clock },
  work: () => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly result: T } | undefined> {
  const deadlineMs = clock.monotonicMs() + patienceMs
  for (;;) {
    const server = createServer((connection) => connection.destroy())
    try {
      server.listen({ path: `\0spillway-${name}` })
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      if (clock.monotonicMs() >= deadlineMs) return undefined
      await clock.sleep(50, signal)
      continue
    }
    try {
      return { result: await work() }
    } finally {
      server.close()
    }
  }
}
