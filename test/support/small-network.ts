import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { CommandShell } from '../../src/backends/cri/command-shell.ts'
import type { CniInterfaces } from '../../src/backends/cri/runtime/cni-interfaces.ts'
import type { SandboxStatus } from '../../src/backends/cri/runtime/cri-types.ts'

const run = promisify(execFile)

export const podNames = ['one', 'two', 'routed'] as const
export type PodName = (typeof podNames)[number]
/** Where a command is run. `far` lies beyond the machine. */
export type Place = PodName | 'machine' | 'far'

export interface SmallPod {
  readonly name: PodName
  readonly address: string
  readonly address6: string
  readonly hostInterface: string
  /** `bridge`, or none: routed to. */
  readonly bridge: string | undefined
  readonly mac: string
}

const pods: readonly SmallPod[] = [
  onBridge('one', 11),
  onBridge('two', 12),
  { ...onBridge('routed', 0), address: '10.246.10.13', address6: 'fd00:246:10::13', bridge: undefined },
]

function onBridge(name: PodName, number: number): SmallPod {
  return {
    name,
    address: `10.246.9.${number}`,
    address6: `fd00:246:9::${number}`,
    hostInterface: `wire-${name}`,
    bridge: 'br0',
    mac: `02:00:00:00:00:${String(number).padStart(2, '0')}`,
  }
}

export const machineAddress = '10.246.9.1'
export const blockedAddress = '198.18.7.2'
export const freeAddress = '198.18.7.3'

/**
 * A machine with two Pods on a bridge and one that it routes to, and what lies beyond it: network namespaces of the test's
 * own, so that no packet gets anywhere else. Each Pod counts what it is sent, by sender.
 */
export class SmallNetwork {
  readonly #prefix: string
  readonly #shell = new CommandShell()
  readonly #children: ChildProcess[] = []

  private constructor(prefix: string) {
    this.#prefix = prefix
  }

  static async make(): Promise<SmallNetwork> {
    const network = new SmallNetwork(`sw${process.pid}`)
    try {
      await network.#lay()
      return network
    } catch (error) {
      await network.remove()
      throw error
    }
  }

  pod(name: PodName): SmallPod {
    const found = pods.find((pod) => pod.name === name)
    if (!found) throw new Error(`no Pod ${name}`)
    return found
  }

  /** As the runtime tells of it. */
  sandbox(name: PodName): SandboxStatus {
    const { address, address6 } = this.pod(name)
    return {
      id: `sandbox-${name}`,
      metadata: { name, namespace: 'default', uid: name, attempt: 0 },
      state: 'SANDBOX_READY',
      createdAt: '1',
      network: { ip: address, additionalIps: [{ ip: address6 }] },
      labels: {},
      annotations: {},
    }
  }

  /** What CNI's bridge plugin, or one that routes, has told containerd. */
  cniInterfaces(sandboxId: string): CniInterfaces {
    const pod = this.pod(sandboxId.replace('sandbox-', '') as PodName)
    return {
      ...(pod.bridge && { [pod.bridge]: { Mac: '02:00:00:00:00:ff', Sandbox: '' } }),
      [pod.hostInterface]: { Mac: '02:00:00:00:01:00', Sandbox: '' },
      eth0: { Mac: pod.mac, Sandbox: `/run/netns/${this.#at(pod.name)}` },
      lo: { Sandbox: `/run/netns/${this.#at(pod.name)}` },
    }
  }

  /** A shell on the machine. */
  get shell(): Pick<CommandShell, 'feed' | 'read' | 'close'> {
    const at = ['netns', 'exec', this.#at('machine')]
    return {
      read: (command, args, signal) => this.#shell.read('ip', [...at, command, ...args], signal),
      feed: ({ command, args, input }, signal) =>
        this.#shell.feed({ command: 'ip', args: [...at, command, ...args], input }, signal),
      close: () => undefined,
    }
  }

  /** What it prints; rejects when it fails. */
  async run(place: Place, script: string): Promise<string> {
    return (await run('ip', ['netns', 'exec', this.#at(place), 'sh', '-ec', script])).stdout.trim()
  }

  async succeeds(place: Place, script: string): Promise<boolean> {
    return await this.run(place, script).then(
      () => true,
      () => false,
    )
  }

  /** Whether a connection comes about. */
  async connects(place: Place, address: string, port: number): Promise<boolean> {
    return await this.succeeds(place, `busybox nc -w 2 ${address} ${port} </dev/null`)
  }

  /** How many packets the Pod has been sent by that sender since the start. */
  async received(name: PodName, sender: string): Promise<number> {
    const said = await this.run(name, `nft -j list set inet seen ${sender.includes(':') ? 'from6' : 'from4'}`)
    const { nftables } = JSON.parse(said) as {
      nftables: { set?: { elem?: { elem: { val: string; counter: { packets: number } } }[] } }[]
    }
    const elements = nftables.flatMap(({ set }) => set?.elem ?? [])
    return elements.find(({ elem }) => elem.val === sender)?.elem.counter.packets ?? 0
  }

  async remove(): Promise<void> {
    this.#shell.close()
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
        await once(child, 'exit')
    }
    for (const place of [...podNames, 'machine', 'far'] as const) {
      await run('ip', ['netns', 'delete', this.#at(place)]).catch(() => undefined)
    }
  }

  #at(place: Place): string {
    return `${this.#prefix}-${place}`
  }

  async #lay(): Promise<void> {
    for (const place of ['machine', 'far', ...podNames] as const) {
      await run('ip', ['netns', 'add', this.#at(place)])
      await this.run(place, 'ip link set lo up')
    }
    await this.run(
      'machine',
      `ip link add br0 type bridge; ip address add ${machineAddress}/24 dev br0; ip address add fd00:246:9::1/64 dev br0 nodad
       ip link set br0 up; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
       ip link add far0 type veth peer name eth0 netns ${this.#at('far')}; ip address add 198.18.7.1/24 dev far0; ip link set far0 up
       ip route add default via ${freeAddress}`,
    )
    await this.run(
      'far',
      `ip address add ${blockedAddress}/24 dev eth0; ip address add ${freeAddress}/24 dev eth0; ip link set eth0 up
       ip route add default via 198.18.7.1`,
    )
    for (const pod of pods) await this.#layPod(pod)
    for (const [place, port] of [
      ['machine', 8080],
      ['machine', 6443],
      ['far', 8080],
      ['far', 10_250],
      ['one', 8080],
    ] as const) {
      await this.#serve(place, port)
    }
  }

  async #layPod({ name, address, address6, hostInterface, bridge, mac }: SmallPod): Promise<void> {
    const inner = this.#at(name)
    await this.run(
      'machine',
      `ip link add ${hostInterface} type veth peer name eth0 address ${mac} netns ${inner}; ip link set ${hostInterface} up`,
    )
    const length = bridge ? { four: 24, six: 64 } : { four: 32, six: 128 }
    await this.run(
      name,
      `sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv6.conf.eth0.keep_addr_on_down=1 net.ipv6.conf.eth0.accept_dad=0
       ip address add ${address}/${length.four} dev eth0; ip address add ${address6}/${length.six} dev eth0 nodad; ip link set eth0 up
       nft -f - <<'END'
       table inet seen {
         set from4 { type ipv4_addr; flags dynamic; counter; }
         set from6 { type ipv6_addr; flags dynamic; counter; }
         chain input {
           type filter hook prerouting priority raw; policy accept;
           iifname eth0 add @from4 { ip saddr counter }
           iifname eth0 add @from6 { ip6 saddr counter }
         }
       }
END`,
    )
    if (bridge) {
      await this.run('machine', `ip link set ${hostInterface} master ${bridge}`)
      await this.run(
        name,
        `ip route add default via ${machineAddress}; ip route add default via fd00:246:9::1`,
      )
    } else {
      await this.run(
        'machine',
        `sysctl -qw net.ipv4.conf.${hostInterface}.proxy_arp=1 net.ipv4.conf.${hostInterface}.rp_filter=0
         ip route add ${address}/32 dev ${hostInterface}; ip -6 route add ${address6}/128 dev ${hostInterface}`,
      )
      await this.run(name, `ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1 dev eth0`)
    }
  }

  async #serve(place: Place, port: number): Promise<void> {
    const argv = [
      'netns',
      'exec',
      this.#at(place),
      'busybox',
      'httpd',
      '-f',
      '-p',
      `[::]:${port}`,
      '-h',
      '/mnt',
    ]
    const child = spawn('ip', argv, { stdio: 'ignore' })
    this.#children.push(child)
    while (!(await this.connects(place, '127.0.0.1', port))) {
      if (child.exitCode !== null) throw new Error(`nothing listens at port ${port} of ${place}`)
    }
  }
}
