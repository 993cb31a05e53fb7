/**
 * The node API in a process of its own under garbage and floods, all on loopback. `npm run security:node-api` does it with
 * the full counts and prints what was sent and what came back.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { readConfigureGlobal, sample } from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { formatTable } from '../../src/cli/table.ts'
import { connectionLimits } from '../../src/kubelet-api/connection-gate.ts'
import { systemClock } from '../../src/model/clock.ts'
import { closed, dialTcp, dialTls, send, type Door } from '../support/hostile-client.ts'
import { hostileRequests } from '../support/hostile-requests.ts'
import type { ChildFigures, ChildStart } from '../support/node-api-child.ts'

const requestCount = Number(process.env['SPILLWAY_HOSTILE_REQUESTS'] ?? 150)
const connectionCount = Number(process.env['SPILLWAY_HOSTILE_CONNECTIONS'] ?? 400)
const isFull = process.env['SPILLWAY_HOSTILE_REQUESTS'] !== undefined
// Of a heap that garbage is collected from at leisure; one request that leaves a kilobyte behind would be ten of these.
const mostKeptBytes = 1_048_576 + requestCount * 100

let child: ChildProcess
let start: ChildStart
let door: Door

beforeAll(async () => {
  child = fork(join(import.meta.dirname, '../support/node-api-child.ts'), [], {
    execArgv: ['--expose-gc', '--no-wasm-code-gc'],
  })
  ;[start] = (await once(child, 'message')) as [ChildStart]
  door = start
})

afterAll(() => {
  child.disconnect()
})

async function figures(question: 'collect' | 'look' = 'collect'): Promise<ChildFigures> {
  child.send(question)
  const [told] = (await once(child, 'message')) as [ChildFigures]
  return told
}

/** The status of `/healthz`, asked on a connection of its own; by the API server's certificate, or else by token. */
async function askHealth(by: 'certificate' | 'token'): Promise<string> {
  const socket = await dialTls(door, by === 'certificate' ? { identity: start.client } : {})
  const credential = by === 'token' ? 'Authorization: Bearer good\r\n' : ''
  socket.write(`GET /healthz HTTP/1.1\r\nHost: node\r\n${credential}Connection: close\r\n\r\n`)
  return /^HTTP\/1\.1 (\d+)/.exec((await socket.toArray()).join(''))?.[1] ?? 'closed'
}

/** As many at a time as a busy client would have. */
async function sendAll(count: number, seed: number): Promise<Map<string, Map<string, number>>> {
  const told = new Map<string, Map<string, number>>()
  const waiting = sample(hostileRequests, { numRuns: count, seed })
  const sender = async (): Promise<void> => {
    for (let request = waiting.pop(); request; request = waiting.pop()) {
      const answer = await send(door, request)
      const answers = told.get(request.kind) ?? new Map<string, number>()
      told.set(request.kind, answers.set(answer, (answers.get(answer) ?? 0) + 1))
    }
  }
  await Promise.all(Array.from({ length: 20 }, sender))
  return told
}

function say(text: string): void {
  if (isFull) process.stdout.write(`${text}\n`)
}

it('garbage is answered or its connection closed; no crash, no hang, and the memory comes back', async () => {
  const { seed = 1 } = readConfigureGlobal()
  await sendAll(100, seed - 1)
  const before = await figures()
  const told = await sendAll(requestCount, seed)
  const after = await figures()
  const rows = [...told].toSorted(byKey).map(([kind, answers]) => {
    const counts = [...answers].toSorted(byKey).map(([answer, count]) => `${answer}: ${count}`)
    return [kind, String(sum([...answers.values()])), counts.join(', ')]
  })
  say(`\n${formatTable([{ title: 'sent' }, { title: 'times', right: true }, { title: 'came back' }], rows)}`)
  say(
    `\nmemory ${mebibytes(before)} before, ${mebibytes(after)} after; longest stall ${after.longestStallMs.toFixed(0)} ms`,
  )
  say(
    `open files ${before.openFiles} before, ${after.openFiles} after; ${after.tokenReviews} TokenReviews in all`,
  )
  expect(child.exitCode).toBeNull()
  expect(sum([...told.values()].flatMap((answers) => [...answers.values()]))).toBe(requestCount)
  // Else the requests never came as far as the answers do.
  const answers = new Set([...told.values()].flatMap((of) => [...of.keys()]))
  for (const expected of ['400', '401', '404', 'closed']) expect(answers).toContain(expected)
  expect(after.memoryBytes - before.memoryBytes).toBeLessThan(mostKeptBytes)
  expect(after.openFiles - before.openFiles).toBeLessThanOrEqual(2)
  expect(await askHealth('certificate')).toBe('200')
}, 600_000)

// Ten strangers; the API server has an address of its own, as in a cluster.
const strangers = Array.from({ length: 10 }, (_, index) => `127.0.0.${index + 2}`)

// Fewer than the kernel keeps waiting to be accepted (511): it lets a client believe in a connection that it then forgets.
const wave = 400

/** Opens one and says nothing, or begins to and does not go on. The answer ends once the node has closed it. */
async function idle(index: number): Promise<() => Promise<void>> {
  const options = { from: strangers[index % strangers.length] ?? '127.0.0.2' }
  const dialed = index % 2 === 0 ? dialTcp(door, options) : dialTls(door, options)
  const socket = await dialed.catch(() => undefined)
  if (!socket) return async () => undefined
  const isClosed = closed(socket)
  if (index % 4 === 1) socket.write('GET /healthz HTTP/1.1\r\nHost: node\r\nX-Slow: ')
  return async () => {
    await isClosed
    socket.destroy()
  }
}

async function flood(count: number): Promise<void> {
  const open: (() => Promise<void>)[] = []
  while (open.length < count) {
    const next = Array.from(
      { length: Math.min(wave, count - open.length) },
      (_, index) => open.length + index,
    )
    open.push(...(await Promise.all(next.map(idle))))
  }
  // The last ones stay until their time is up.
  if (isFull) await Promise.all(open.map((ended) => ended()))
}

it('a flood of connections that say nothing keeps nobody from an answer', async () => {
  const before = await figures()
  const progress = { isOver: false }
  const ended = flood(connectionCount).then(() => (progress.isOver = true))
  const answers: string[] = []
  const waitsMs: number[] = []
  let most = before.connections.unknown
  for (let round = 0; round < 10 || !progress.isOver; round += 1) {
    const beganMs = systemClock.monotonicMs()
    answers.push(await askHealth(round % 2 === 0 ? 'certificate' : 'token').catch(String))
    waitsMs.push(systemClock.monotonicMs() - beganMs)
    most = Math.max(most, (await figures('look')).connections.unknown)
  }
  await ended
  if (isFull) {
    const after = await figures()
    waitsMs.sort((a, b) => a - b)
    say(
      `\n${connectionCount} connections from ${strangers.length} addresses, all closed by the node in the end`,
    )
    say(
      `${answers.length} requests meanwhile, ${answers.filter((answer) => answer === '200').length} answered 200; waited ${at(waitsMs, 0.5)} ms p50, ${at(waitsMs, 1)} ms at most`,
    )
    say(
      `at most ${most} strangers at a time; memory ${mebibytes(before)} before, ${mebibytes(after)} after; open files ${before.openFiles} and ${after.openFiles}`,
    )
    expect(after.memoryBytes - before.memoryBytes).toBeLessThan(mostKeptBytes)
    expect(after.openFiles - before.openFiles).toBeLessThanOrEqual(2)
  }
  expect(new Set(answers)).toEqual(new Set(['200']))
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(connectionLimits.mostUnknown)
}, 600_000)

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a.localeCompare(b)
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

function at(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0).toFixed(0)
}

function mebibytes({ memoryBytes }: ChildFigures): string {
  return `${(memoryBytes / 1_048_576).toFixed(1)} MiB`
}
