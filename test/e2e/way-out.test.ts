import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { recordOf } from '../../src/dev-cluster/process.ts'
import { answeringNameServers, reachableUpstreams } from '../../src/dev-cluster/way-out.ts'
import { systemClock } from '../../src/model/clock.ts'

const { signal } = new AbortController()

/** As seen from this process's own namespaces. */
async function reachable(proxy: string): Promise<{ names: readonly string[]; tookMs: number }> {
  const self = await recordOf(process.pid, 'this test')
  const environment = { PATH: process.env['PATH'], HTTPS_PROXY: proxy }
  const beganMs = systemClock.monotonicMs()
  const names = await reachableUpstreams({ holder: self, init: self }, { environment }, signal)
  return { names: [...names].sort(), tookMs: systemClock.monotonicMs() - beganMs }
}

it('takes registries for reachable whose proxy answers, whatever it says', async () => {
  const server = createServer((_request, response) => response.writeHead(400).end())
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    expect((await reachable(`http://127.0.0.1:${port}`)).names).toEqual(['docker.io', 'registry.k8s.io'])
  } finally {
    server.close()
  }
})

it('does not wait for one that says nothing', async () => {
  const server = createServer(() => undefined)
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    const { names, tookMs } = await reachable(`http://127.0.0.1:${port}`)
    expect(names).toEqual([])
    expect(tookMs).toBeLessThan(10_000)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

it('takes name servers for usable that answer, if only that they do not know', async () => {
  const self = await recordOf(process.pid, 'this test')
  const server = createSocket('udp4')
  // The question back, marked as the answer "refused".
  server.on('message', (question, from) => {
    const answer = Buffer.from(question)
    answer[2] = (question[2] ?? 0) | 0x80
    answer[3] = 5
    server.send(answer, from.port, from.address)
  })
  const silent = createSocket('udp4')
  server.bind(0, '127.0.0.1')
  silent.bind(0, '127.0.0.1')
  await Promise.all([once(server, 'listening'), once(silent, 'listening')])
  const [good, bad] = [server, silent].map((socket) => `127.0.0.1:${socket.address().port}`)
  try {
    const found = await answeringNameServers(
      { holder: self, init: self },
      [good ?? '', bad ?? ''],
      { environment: { PATH: process.env['PATH'] } },
      signal,
    )
    expect([...found]).toEqual([good])
  } finally {
    server.close()
    silent.close()
  }
})
