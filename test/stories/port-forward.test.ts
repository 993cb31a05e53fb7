import { createHash, randomBytes } from 'node:crypto'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pods, services } from '../../src/kube/resources.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-port-forward'
const told = story(namespace)
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
const kubectls: ChildProcess[] = []
let dir: string
/** What the pool has, and gVisor, whose network the runtime cannot enter. */
const kinds: readonly { readonly kind: string; readonly spec: Partial<PodSpec> }[] = [
  { kind: 'default', spec: {} },
  { kind: 'gvisor', spec: { runtimeClassName: 'gvisor' } },
]

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-copy-'))
  const { api, signal, until, pod } = told.current
  for (const { kind, spec } of kinds) {
    for (const name of ['one', 'two']) await api.create(pods, webPod(`${name}-${kind}`, spec), signal)
    const web = { selector: { app: `one-${kind}` }, ports: [{ port: 80, targetPort: 8080 }] }
    await api.create(services, { metadata: { namespace, name: `web-${kind}` }, spec: web }, signal)
  }
  const shell = 'i=0; while true; do i=$((i + 1)); echo "tick $i"; sleep 0.2; done'
  await api.create(pods, scriptPod({ namespace, name: 'shell' }, shell, outByHand), signal)
  const names = kinds.flatMap(({ kind }) => [`one-${kind}`, `two-${kind}`])
  for (const name of [...names, 'shell']) await until(`${name} is ready`, () => isReady(pod(name)))
})

afterEach(() => {
  for (const child of kubectls.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => await rm(dir, { recursive: true }))

describe.each(kinds)('kubectl port-forward to a Pod on $kind', ({ kind }) => {
  test('leads to a port of the Pod, for one request after the other', async () => {
    const { port } = await forward(`pod/one-${kind}`, '8080')
    expect(await get(port, '/hostname')).toBe(`one-${kind}`)
    expect(await get(port, '/hostname')).toBe(`one-${kind}`)
  })

  test('carries many bytes in both directions, whole', async () => {
    const { port } = await forward(`pod/one-${kind}`, '8080')
    const sent = randomBytes(1_000_000).toString('hex')
    const answer = await fetch(`http://127.0.0.1:${port}/echo`, {
      method: 'POST',
      body: new URLSearchParams({ msg: sent }),
    })
    expect(sum(await answer.text())).toBe(sum(sent))
  })

  test('of two Pods and two ports at once keeps them apart', async () => {
    const [one, two] = await Promise.all([
      forward(`pod/one-${kind}`, '8080', '8081'),
      forward(`pod/two-${kind}`, '8080'),
    ])
    const [second = 0] = one.ports.slice(1)
    const answers = Array.from({ length: 5 }, () => [
      get(one.port, '/hostname'),
      get(two.port, '/hostname'),
      get(second, '/'),
    ])
    for (const three of answers)
      expect(await Promise.all(three)).toEqual([`one-${kind}`, `two-${kind}`, 'the other port'])
  })

  test('leads to a Pod behind a Service', async () => {
    const { port } = await forward(`service/web-${kind}`, '80')
    expect(await get(port, '/hostname')).toBe(`one-${kind}`)
  })

  test('tells when nobody listens on the port', async () => {
    const { port, said } = await forward(`pod/one-${kind}`, '9999')
    expect(await talk(port, 'anybody?').catch(() => '')).toBe('')
    await told.current.until('kubectl says so', () => /9999.*connection refused/s.test(said()))
  })
})

describe('kubectl cp', () => {
  test('brings a file in and out again, byte for byte', async () => {
    const bytes = randomBytes(3_000_000)
    await writeFile(join(dir, 'in.bin'), bytes)
    expect(await copy(join(dir, 'in.bin'), 'shell:/tmp/in.bin')).toBe(0)
    expect(await exec('sha256sum', '/tmp/in.bin')).toContain(sum(bytes))
    expect(await copy('shell:/tmp/in.bin', join(dir, 'out.bin'))).toBe(0)
    expect(sum(await readFile(join(dir, 'out.bin')))).toBe(sum(bytes))
  })

  test('brings a folder in and out again', async () => {
    await mkdir(join(dir, 'tree', 'deep'), { recursive: true })
    await writeFile(join(dir, 'tree', 'top.txt'), 'top')
    await writeFile(join(dir, 'tree', 'deep', 'leaf.txt'), 'leaf')
    expect(await copy(join(dir, 'tree'), 'shell:/tmp/tree')).toBe(0)
    expect(await exec('cat', '/tmp/tree/deep/leaf.txt')).toBe('leaf')
    expect(await copy('shell:/tmp/tree', join(dir, 'back'))).toBe(0)
    expect(await readFile(join(dir, 'back', 'deep', 'leaf.txt'), 'utf8')).toBe('leaf')
  })
})

test('kubectl attach shows what the process writes from then on', async () => {
  const { child, said } = kubectl('attach', 'shell')
  await told.current.until('it has shown two lines', () => /tick \d+\n.*tick \d+\n/s.test(said()))
  child.kill('SIGINT')
  expect(isReady(told.current.pod('shell'))).toBe(true)
})

function webPod(name: string, spec: Partial<PodSpec>): Pod {
  const pod = scriptPod({ namespace, name }, '', { ...outByHand, ...spec })
  const resources = { requests: { cpu: '50m', memory: '16Mi' } }
  const web = { name: 'web', image: agnhost, args: ['netexec', '--http-port=8080'], resources }
  const env = [{ name: 'SERVE_PORT_8081', value: 'the other port' }]
  const other = { name: 'other', image: agnhost, args: ['porter'], env, resources }
  return { ...pod, spec: { ...pod.spec, containers: [web, other] } }
}

function kubectl(...args: readonly string[]): { child: ChildProcess; said: () => string } {
  const { binaries } = told.current
  const flags = [`--kubeconfig=${binaries.kubeconfig}`, '-n', namespace]
  const child = spawn(binaries.kubectl, [...flags, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  kubectls.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => (output += piece))
  }
  return { child, said: () => output }
}

/** The local ports, in the order of those asked for. */
async function forward(target: string, ...wanted: readonly string[]) {
  const { said } = kubectl('port-forward', '--address=127.0.0.1', target, ...wanted.map((port) => `:${port}`))
  const found = (): number[] =>
    [...said().matchAll(/Forwarding from 127\.0\.0\.1:(\d+) -> /g)].map(([, port]) => Number(port))
  await told.current.until(`${target} is forwarded (${said()})`, () => found().length === wanted.length)
  const ports = found()
  return { port: ports[0] ?? 0, ports, said }
}

async function get(port: number, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
}

/** What comes back to these words, until the other side is done. */
async function talk(port: number, words: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.end(words)
  return await text(socket)
}

async function copy(from: string, to: string): Promise<number> {
  return (await told.current.kubectl('cp', from, to)).code
}

async function exec(...command: readonly string[]): Promise<string> {
  return (await told.current.kubectl('exec', 'shell', '--', ...command)).stdout
}

function sum(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
