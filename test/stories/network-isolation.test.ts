import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pods } from '../../src/kube/resources.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { allowInPool } from '../support/allow-in-pool.ts'
import { isReady, story } from '../support/story.ts'
import { onServer, outByHand } from '../support/story-manifests.ts'

const namespace = 'story-network-isolation'
const told = story(namespace)
allowInPool(told, { allow: [], capabilities: ['NET_ADMIN'] })
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
const metadata = '169.254.169.254'
/** Nobody's: virtual Pods have addresses up to 10.245.7.254. */
const stranger = '10.245.99.99'

const virtual = ['on-runc', 'limited', 'sealed'] as const
let metadataServer: string

/** Every target is the cluster's own: its machine, its Pods, and a stand-in for a cloud's metadata service behind it. */
beforeAll(async () => {
  const { api, signal, until, pod } = told.current
  metadataServer = await machine(`
    ip netns add cloud
    ip link add cloud0 type veth peer name eth0 netns cloud
    ip address add 192.0.2.1/32 dev cloud0
    ip link set cloud0 up
    ip route add ${metadata}/32 dev cloud0
    ip -n cloud address add ${metadata}/32 dev eth0
    ip -n cloud link set eth0 up
    ip -n cloud route add default dev eth0
    echo 1 > /proc/sys/net/ipv4/conf/cloud0/proxy_arp
    ip netns exec cloud busybox httpd -f -p ${metadata}:80 -h /mnt >/dev/null 2>&1 &
    echo $!`)
  const limits = { 'kubernetes.io/ingress-bandwidth': '16M', 'kubernetes.io/egress-bandwidth': '8M' }
  await api.create(pods, webPod('on-server', onServer), signal)
  await api.create(pods, webPod('on-runc', outByHand), signal)
  await api.create(pods, webPod('limited', outByHand, limits), signal)
  await api.create(pods, webPod('sealed', { ...outByHand, runtimeClassName: 'gvisor' }), signal)
  await until('all Pods are ready', () => ['on-server', ...virtual].every((name) => isReady(pod(name))))
  await until('the stand-in answers', async () => await machineReaches(metadata, 80))
})

afterAll(async () => {
  await machine(`kill ${metadataServer}; ip netns delete cloud; ip link delete cloud0 2>/dev/null || true`)
})

describe.each(virtual)('a virtual Pod, %s,', (name) => {
  test('reaches no port of its node but the API server’s and that of DNS', async () => {
    const { cluster } = told.current
    const listening = await listeningPorts()
    // Among them are those that matter most.
    expect(listening).toEqual(expect.arrayContaining([cluster.ports.kubelet, cluster.ports.virtualKubelet]))
    const reached: number[] = []
    for (const port of listening) {
      expect(await machineReaches(cluster.nodeAddress, port)).toBe(true)
      if (await reaches(name, cluster.nodeAddress, port)) reached.push(port)
    }
    // In the order in which they were asked: by number.
    expect(reached).toEqual([53, cluster.ports.apiServer])
  })

  test('does not reach the metadata address', async () => {
    expect(await machineReaches(metadata, 80)).toBe(true)
    expect(await reaches(name, metadata, 80)).toBe(false)
  })

  test('reaches the API server by its Service, names, and other Pods', async () => {
    expect(await reaches(name, 'kubernetes.default.svc.cluster.local', 443)).toBe(true)
    expect(await reaches(name, ipOf('on-server'), 8080)).toBe(true)
    for (const other of virtual) expect(await reaches(name, ipOf(other), 8080)).toBe(true)
  })

  test('answers its node and server Pods', async () => {
    expect(await machineReaches(ipOf(name), 8080)).toBe(true)
    expect(await reaches('on-server', ipOf(name), 8080)).toBe(true)
  })
})

// By these commands nothing comes out of gVisor's own network at all, not even under its own address: test/support/abuse has a
// program whose packets do come out.
describe.each(['on-runc', 'limited'])('a virtual Pod that may change its interface, %s,', (name) => {
  test('is heard by others under its own address only', async () => {
    await witness(name)
    const say = (from: string) => `ping -c 1 -W 1 -I ${from} ${ipOf('on-server')}`
    await run(name, `ip address add ${stranger}/32 dev eth0`)
    await run(name, `${say(stranger)}; ${say(ipOf(name))}`)
    await told.current.until('its own packet is seen', async () => (await seen()).own > 0)
    expect((await seen()).foreign).toBe(0)
    await machine('nft delete table inet witness')
  })
})

test('a Pod is given the bandwidth that its annotations ask for', async () => {
  const said = await machine('tc -json qdisc show')
  const limits = (
    JSON.parse(said) as readonly { readonly kind: string; readonly options: { readonly rate?: number } }[]
  )
    .filter(({ kind }) => kind === 'tbf')
    // Bytes a second.
    .map(({ options }) => (options.rate ?? 0) * 8)
  expect(limits.sort((a, b) => a - b)).toEqual([8_000_000, 16_000_000])
})

/** Counts what comes past the machine from a Pod, under its own address and under the stranger's. */
async function witness(name: string): Promise<void> {
  await machine(`nft -f - <<'END'
    table inet witness {
      counter own { }
      counter foreign { }
      chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        icmp type echo-request ip saddr ${ipOf(name)} counter name own
        ip saddr ${stranger} counter name foreign
      }
    }
END`)
}

async function seen(): Promise<{ readonly own: number; readonly foreign: number }> {
  const { nftables } = JSON.parse(await machine('nft -j list counters table inet witness')) as {
    readonly nftables: readonly { readonly counter?: { readonly name: string; readonly packets: number } }[]
  }
  const packets = (name: string) =>
    nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0
  return { own: packets('own'), foreign: packets('foreign') }
}

/** TCP ports that are reached from outside of the machine. */
async function listeningPorts(): Promise<number[]> {
  const { nodeAddress } = told.current.cluster
  const lines = (await machine('ss -Hltn')).split('\n').map((line) => line.trim().split(/\s+/)[3] ?? '')
  const open = lines.filter((at) =>
    [nodeAddress, '*', '[::]', '0.0.0.0'].some((host) => at.startsWith(`${host}:`)),
  )
  return [...new Set(open.map((at) => Number(at.split(':').at(-1))))].sort((a, b) => a - b)
}

async function machineReaches(address: string, port: number): Promise<boolean> {
  const script = `timeout 3 bash -c "exec 3<>/dev/tcp/${address}/${port}"`
  const { exitCode } = await told.current.running.exec(['sh', '-c', script], told.current.signal)
  return exitCode === 0
}

/** Runs a script in the cluster's own namespaces. */
async function machine(script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await told.current.running.exec(
    ['sh', '-ec', script],
    told.current.signal,
  )
  if (exitCode !== 0) throw new Error(`${script}: ${stderr}`)
  return stdout.trim()
}

async function reaches(from: string, address: string, port: number): Promise<boolean> {
  const { kubectl } = told.current
  const { code } = await kubectl(
    'exec',
    from,
    '--',
    '/agnhost',
    'connect',
    `${address}:${port}`,
    '--timeout=3s',
  )
  return code === 0
}

async function run(name: string, script: string): Promise<void> {
  await told.current.kubectl('exec', name, '--', 'sh', '-c', script)
}

function webPod(
  name: string,
  placement: Partial<PodSpec>,
  annotations: Readonly<Record<string, string>> = {},
): Pod {
  const args = ['netexec', '--http-port=8080', '--udp-port=8081']
  const securityContext = { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, annotations },
    spec: {
      ...placement,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'web', image: agnhost, args, securityContext }],
    },
  }
}

function ipOf(name: string): string {
  return told.current.pod(name)?.status?.podIP ?? 'no address yet'
}
