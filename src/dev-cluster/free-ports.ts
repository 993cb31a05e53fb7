import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

/**
 * Ports that nothing on loopback uses at the moment. All are held open until the last is known, so that they differ.
 * Somebody may take one before it is used; among 28,000 that is rare enough to be told by the component's own error.
 */
export async function findFreePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(
    servers.map(async (server) => {
      server.close()
      await once(server, 'close')
    }),
  )
  return ports
}
