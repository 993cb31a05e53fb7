import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'

/**
 * Runs the work while no other process on this machine runs work of the same name. The lock is a socket in Linux's
 * abstract namespace: the kernel takes it back however its holder ends, and a waiter sees that as a closed connection.
 * A lock file would have to guess whether its writer still lives.
 */
export async function withMachineLock<T>(
  name: string,
  work: () => Promise<T>,
  signal: AbortSignal,
  onWait?: () => void,
): Promise<T> {
  const path = `\0spillway/${name}`
  let server = await tryListen(path)
  if (server === undefined) onWait?.()
  while (server === undefined) {
    signal.throwIfAborted()
    await untilReleased(path, signal)
    server = await tryListen(path)
  }
  const waiters = new Set<Socket>()
  server.on('connection', (socket) => {
    waiters.add(socket)
    socket.on('error', () => undefined).on('close', () => waiters.delete(socket))
  })
  try {
    return await work()
  } finally {
    server.close()
    for (const waiter of waiters) waiter.destroy()
    await once(server, 'close')
  }
}

async function tryListen(path: string): Promise<Server | undefined> {
  const server = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<Server | undefined>()
  server.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') resolve(undefined)
    else reject(error)
  })
  server.listen(path, () => resolve(server))
  return promise
}

/** Resolves when the holder lets go of our connection, or when there is no holder any more. */
async function untilReleased(path: string, signal: AbortSignal): Promise<void> {
  const socket = connect(path)
  const abort = (): void => void socket.destroy()
  signal.addEventListener('abort', abort, { once: true })
  const { promise, resolve } = Promise.withResolvers<void>()
  // Refused: it was released between our two calls. Both ways the caller tries again.
  socket
    .on('error', () => undefined)
    .on('close', () => resolve())
    .resume()
  await promise
  signal.removeEventListener('abort', abort)
}
