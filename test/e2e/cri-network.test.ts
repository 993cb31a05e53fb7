import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import type { CriOptions } from '../../src/backends/cri/config.ts'
import { tableName } from '../../src/backends/cri/network/isolation-rules.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { Follower, isRunning, until } from '../conformance/harness.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'
import { criHarness, sh, type CriHarness } from '../support/cri-harness.ts'
import { openFarSide, type FarSide } from '../support/far-side.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import {
  findBinary,
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const run = promisify(execFile)
const missing = missingForContainerd()
const bridge = 'swcri5'
const gateway = '10.246.5.1'
const stranger = '10.246.5.200'
const metadata = '198.18.7.2'
const otherNode = '198.18.7.3'
const kubeletPort = 10_250
const webPort = 8080

describe.skipIf(missing.length > 0)('what Pods reach, on a real containerd with real rules', () => {
  const { signal } = new AbortController()
  let runtime: PrivateContainerd
  let farSide: FarSide
  let closedPort: number
  let openPort: number
  let servers: readonly Server[]
  let harness: CriHarness
  let backend: Backend
  let follower: Follower
  let serial = 0

  beforeAll(async () => {
    runtime = await startPrivateContainerd({ bridge, subnet: '10.246.5.0/24' })
    farSide = await openFarSide({
      name: 'swfar5',
      near: '198.18.7.1/24',
      addresses: [metadata, otherNode],
      ports: [webPort, kubeletPort],
    })
    const [closed, open] = [await listen(), await listen()]
    servers = [closed, open]
    ;[closedPort, openPort] = [portOf(closed), portOf(open)]
  })

  afterAll(async () => {
    servers?.forEach((server) => server.close())
    await forgetWitness()
    await farSide?.remove()
    await runtime?.destroy()
  })

  beforeEach(async () => await open('On'))
  afterEach(async () => await close())

  async function open(isolation: 'On' | 'Off'): Promise<void> {
    const network = {
      isolation,
      hostPorts: [`${openPort}/TCP`, `${openPort}/UDP`],
      blockedAddresses: [metadata],
    }
    const options: Partial<CriOptions> = { network, capabilities: ['ALL'] }
    const doors = { list: () => [{ address: otherNode, port: kubeletPort }], onChange: () => () => undefined }
    harness = await criHarness(runtime, options, { doors })
    await follow()
  }

  async function follow(): Promise<void> {
    backend = harness.backend()
    follower = new Follower(harness)
    await until(harness, 'the first snapshot', () => follower.synced)
  }

  async function close(): Promise<void> {
    await follower.close()
    await harness.close()
  }

  async function reopen(isolation: 'On' | 'Off'): Promise<void> {
    await close()
    await open(isolation)
  }

  async function start(script: string): Promise<Pod> {
    const name = `pod-${++serial}`
    const uid = `00000000-0000-4000-c000-${String(serial).padStart(12, '0')}`
    const securityContext = { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } }
    const { container } = sh(`${script}; trap "exit 0" TERM; while true; do sleep 0.1; done`)
    const pod = aPod({ name, uid, spec: { containers: [aContainer({ ...container, securityContext })] } })
    await backend.start(pod, new FakePodSources(), signal)
    return pod
  }

  async function running(script = 'true'): Promise<Pod> {
    const pod = await start(script)
    await until(harness, 'it runs', () => {
      const seen = follower.last(uidOf(pod))
      return seen !== undefined && isRunning(seen)
    })
    return pod
  }

  /** What the script prints in the Pod. */
  async function inside(pod: Pod, script: string): Promise<string> {
    return String((await backend.run(uidOf(pod), 'main', ['sh', '-c', script], signal)).stdout).trim()
  }

  const ask = (address: string, port: number) =>
    `timeout 5 wget -qO- http://${address}:${port} || echo refused`
  const rules = async () => (await run('nft', ['list', 'ruleset'])).stdout
  const table = () => tableName({ ...harness.settings.owner, backend: harness.settings.name })

  it('keeps a Pod from the machine from its first instruction on, and from what lies beyond it', async () => {
    const pod = await running(`(${ask(gateway, closedPort)}) >/tmp/first`)
    await until(harness, 'it has asked', async () => (await inside(pod, 'cat /tmp/first')) !== '')
    expect(await inside(pod, 'cat /tmp/first')).toBe('refused')
    expect(await inside(pod, ask(gateway, openPort))).toBe('the machine')
    expect(await inside(pod, ask(metadata, webPort))).toBe('refused')
    expect(await inside(pod, ask(otherNode, kubeletPort))).toBe('refused')
    expect(await inside(pod, ask(otherNode, webPort))).toBe(otherNode)
  })

  it('lets it reach all of that by option', async () => {
    await reopen('Off')
    const pod = await running()
    expect(await inside(pod, ask(gateway, closedPort))).toBe('the machine')
    expect(await inside(pod, ask(metadata, webPort))).toBe(metadata)
    expect(await inside(pod, ask(otherNode, kubeletPort))).toBe(otherNode)
    expect(await rules()).not.toContain(table())
  })

  it('drops what a Pod sends under an address that is not its own', async () => {
    for (const isolation of ['Off', 'On'] as const) {
      await reopen(isolation)
      const pod = await running()
      const own = follower.last(uidOf(pod))?.sandbox?.podIps[0] ?? ''
      await witness(own)
      const say = (from: string) => `ping -c 1 -W 1 -I ${from} ${gateway}`
      await inside(pod, `ip address add ${stranger}/32 dev eth0; ${say(stranger)}; ${say(own)}`)
      await until(harness, 'its own came', async () => (await witnessed('own')) > 0)
      expect(await witnessed('foreign')).toBe(isolation === 'Off' ? 1 : 0)
    }
  })

  it('keeps them when the process ends, and takes Pods over in the next life', async () => {
    const pod = await running()
    await follower.close()
    await harness.restartProcess()
    expect(await rules()).toContain(table())
    await follow()
    await backend.start(pod, new FakePodSources(), signal)
    expect(await inside(pod, ask(gateway, closedPort))).toBe('refused')
    const other = await running()
    expect(await inside(other, ask(gateway, closedPort))).toBe('refused')
  })

  it('leaves no rule behind when the last Pod is gone', async () => {
    await running()
    const ours = table()
    expect(await rules()).toContain(ours)
    await reopen('Off')
    expect(await rules()).not.toContain(ours)
  })

  it('makes no Pod where the rules cannot be set, and says why', async () => {
    await close()
    const path = await folderOf('sh', 'ip', 'mount', 'umount', 'busybox')
    vi.stubEnv('PATH', path)
    try {
      await open('On')
      const pod = await start('true')
      const reasons = () =>
        follower.happenings(uidOf(pod)).filter(({ reason }) => reason === 'FailedCreatePodSandBox')
      await until(harness, 'its event', () => reasons().length > 0)
      expect(reasons()[0]?.message).toContain('install nftables, or set options.network.isolation to Off')
      expect((await backend.health(signal)).network).toMatchObject({ ok: false, reason: 'PodsNotIsolated' })
      expect(follower.last(uidOf(pod))?.sandbox).toBeUndefined()
      vi.unstubAllEnvs()
      await close()
    } finally {
      vi.unstubAllEnvs()
      await rm(path, { recursive: true })
    }
    await open('On')
  })
})

const witnessTable = 'inet swwitness5'

/** Counts what this machine gets from a Pod, under its own address and under the stranger's. */
async function witness(own: string): Promise<void> {
  await forgetWitness()
  const counter = (from: string, name: string): string =>
    `icmp type echo-request ip saddr ${from} counter name ${name}`
  const chain = `type filter hook prerouting priority mangle; ${counter(own, 'own')}; ${counter(stranger, 'foreign')};`
  await run('nft', [
    `table ${witnessTable} { counter own { }; counter foreign { }; chain prerouting { ${chain} }; }`,
  ])
}

async function witnessed(name: 'own' | 'foreign'): Promise<number> {
  const { stdout } = await run('nft', [`list counter ${witnessTable} ${name}`])
  return Number(/packets (\d+)/.exec(stdout)?.[1])
}

async function forgetWitness(): Promise<void> {
  await run('nft', [`add table ${witnessTable}; delete table ${witnessTable}`])
}

/** A folder with these programs and no others. */
async function folderOf(...programs: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-path-'))
  for (const name of programs) await symlink(findBinary(name) ?? '', join(folder, name))
  return folder
}

async function listen(): Promise<Server> {
  const server = createServer((_request, response) => response.end('the machine')).listen(0, '::')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
