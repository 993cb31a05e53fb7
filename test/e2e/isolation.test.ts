import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Isolation } from '../../src/backends/cri/network/isolation.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { missingForContainerd } from '../support/private-containerd.ts'
import {
  blockedAddress,
  freeAddress,
  machineAddress,
  podNames,
  SmallNetwork,
  type PodName,
} from '../support/small-network.ts'

const { signal } = new AbortController()
const table = 'spillway-test'
const closedPort = 8080
const openPort = 6443
const kubeletPort = 10_250
const stranger = '10.246.9.200'
const stranger6 = 'fd00:246:9::200'
const otherMac = '02:00:00:00:00:99'

describe.skipIf(missingForContainerd().length > 0)('rules of isolation, in the kernel', () => {
  let network: SmallNetwork
  let isolation: Isolation

  beforeAll(async () => {
    network = await SmallNetwork.make()
  })
  afterAll(async () => await network?.remove())
  afterEach(async () => await end())

  /** The next life of the process, whatever the one before has left. */
  async function begin(pods: readonly PodName[]): Promise<void> {
    isolation = new Isolation({
      facts: { table, hostPorts: [`${openPort}/TCP`], blockedAddresses: [blockedAddress], nameServers: [] },
      doors: { list: () => [{ address: freeAddress, port: kubeletPort }], onChange: () => () => undefined },
      client: { cniInterfaces: (id) => Promise.resolve(network.cniInterfaces(id)) },
      shell: network.shell,
      log: silentLog(),
    })
    await isolation.follow(
      pods.map((name) => network.sandbox(name)),
      signal,
    )
    expect(isolation.trouble).toBeUndefined()
  }

  async function end(): Promise<void> {
    for (const name of podNames) isolation.release(network.sandbox(name).id)
    await isolation.close()
  }

  const rules = async () => await network.run('machine', 'nft list ruleset')

  /** What a Pod tries, each beside the same of a Pod that is not isolated: so that it is seen to be the rules. */
  describe.each([
    { from: 'one', isolated: false },
    { from: 'one', isolated: true },
    { from: 'routed', isolated: false },
    { from: 'routed', isolated: true },
  ] as const)('a Pod "$from", isolated: $isolated', ({ from, isolated }) => {
    it('reaches of the machine only what is open', async () => {
      await begin(isolated ? podNames : [])
      expect(await network.connects(from, machineAddress, openPort)).toBe(true)
      expect(await network.connects(from, machineAddress, closedPort)).toBe(!isolated)
      // By another of its addresses, too.
      expect(await network.connects(from, '198.18.7.1', closedPort)).toBe(!isolated)
      expect(await network.succeeds(from, `busybox ping -c 1 -W 2 ${machineAddress}`)).toBe(true)
    })

    it('reaches beyond the machine all but blocked addresses and kubelets', async () => {
      await begin(isolated ? podNames : [])
      expect(await network.connects(from, freeAddress, 8080)).toBe(true)
      expect(await network.connects(from, blockedAddress, 8080)).toBe(!isolated)
      expect(await network.connects(from, freeAddress, kubeletPort)).toBe(!isolated)
    })

    it('is heard under its own address, and under no other', async () => {
      await begin(isolated ? podNames : [])
      const before = await network.received('two', network.pod(from).address)
      expect(await network.succeeds(from, `busybox ping -c 1 -W 2 ${network.pod('two').address}`)).toBe(true)
      expect(await network.received('two', network.pod(from).address)).toBe(before + 1)
      const foreign = await network.received('two', stranger)
      await network.run(
        from,
        `ip address add ${stranger}/32 dev eth0
         busybox ping -c 1 -W 1 -I ${stranger} ${network.pod('two').address} || true
         ip address delete ${stranger}/32 dev eth0`,
      )
      expect(await network.received('two', stranger)).toBe(foreign + (isolated ? 0 : 1))
    })
  })

  it('is heard under no other address where CNI’s bandwidth plugin redirects what it sends, either', async () => {
    await begin(podNames)
    // What that plugin does for the annotation kubernetes.io/egress-bandwidth; such packets pass no hook of family netdev.
    await network.run(
      'machine',
      `ip link add ifb-one type ifb; ip link set ifb-one up; tc qdisc add dev wire-one ingress
       tc filter add dev wire-one parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ifb-one`,
    )
    const { address } = network.pod('two')
    const [own, foreign] = [
      await network.received('two', network.pod('one').address),
      await network.received('two', stranger),
    ]
    await network.run(
      'one',
      `ip address add ${stranger}/32 dev eth0; busybox ping -c 1 -W 1 -I ${stranger} ${address} || true
       ip address delete ${stranger}/32 dev eth0; busybox ping -c 1 -W 2 ${address}`,
    )
    expect(await network.received('two', network.pod('one').address)).toBeGreaterThan(own)
    expect(await network.received('two', stranger)).toBe(foreign)
    expect(await network.run('machine', 'tc -s qdisc show dev ifb-one')).not.toContain('Sent 0 bytes')
    await network.run('machine', 'tc qdisc delete dev wire-one ingress; ip link delete ifb-one')
  })

  it('is told at once what it may not reach, and does not wait', async () => {
    await begin(podNames)
    for (const [address, port] of [
      [machineAddress, closedPort],
      [blockedAddress, 8080],
    ] as const) {
      const refused = `busybox nc -w 60 ${address} ${port} </dev/null 2>&1 || true`
      expect(await network.run('one', refused)).toMatch(/refused/)
    }
  })

  it('answers those who ask it: the machine, what lies beyond, other Pods', async () => {
    await begin(podNames)
    const { address } = network.pod('one')
    for (const from of ['machine', 'far', 'two', 'routed'] as const) {
      expect(await network.connects(from, address, 8080)).toBe(true)
    }
  })

  describe.each([{ isolated: false }, { isolated: true }])(
    'beside its neighbours, isolated: $isolated',
    (row) => {
      const { isolated } = row

      it('sends nothing under another hardware address', async () => {
        await begin(isolated ? podNames : [])
        const { mac, address } = network.pod('one')
        const before = await network.received('two', address)
        const set = (to: string) =>
          `ip link set eth0 down; ip link set eth0 address ${to}; ip link set eth0 up; ip route replace default via ${machineAddress}`
        await network.run(
          'one',
          `${set(otherMac)}; ip neigh replace ${network.pod('two').address} lladdr ${network.pod('two').mac} dev eth0
         busybox ping -c 1 -W 1 ${network.pod('two').address} || true; ${set(mac)}`,
        )
        expect(await network.received('two', address)).toBe(before + (isolated ? 0 : 1))
      })

      it('does not get its neighbour’s packets by saying that it is the neighbour', async () => {
        await begin(isolated ? podNames : [])
        const { address, mac } = network.pod('two')
        await network.run('machine', `ip neigh flush dev br0; busybox ping -c 1 -W 2 ${address}`)
        await network.run(
          'one',
          `ip address add ${address}/32 dev eth0
         busybox arping -U -c 2 -w 2 -I eth0 -s ${address} ${address} || true
         ip address delete ${address}/32 dev eth0`,
        )
        const known = await network.run('machine', `ip neigh show ${address} dev br0`)
        expect(known.includes(mac)).toBe(isolated)
      })

      it('is not heard under another IPv6 address, and reaches the machine under none', async () => {
        await begin(isolated ? podNames : [])
        const two = network.pod('two').address6
        const before = await network.received('two', stranger6)
        await network.run(
          'one',
          `ip address add ${stranger6}/128 dev eth0 nodad; busybox ping -6 -c 1 -W 1 -I ${stranger6} ${two} || true
         ip address delete ${stranger6}/128 dev eth0`,
        )
        // Whoever asks for a neighbour's hardware address does it under its own first; what counts is what follows.
        expect((await network.received('two', stranger6)) > before).toBe(!isolated)
        expect(await network.succeeds('one', `busybox ping -6 -c 1 -W 2 ${two}`)).toBe(true)
        expect(await network.connects('one', 'fd00:246:9::1', closedPort)).toBe(!isolated)
        const bridge = JSON.parse(
          await network.run('machine', 'ip -json -6 address show dev br0 scope link'),
        ) as {
          readonly addr_info: readonly { readonly local?: string }[]
        }[]
        const linkLocal = bridge[0]?.addr_info.find(({ local }) => local !== undefined)?.local ?? ''
        expect(linkLocal).toMatch(/^fe80::/)
        expect(await network.connects('one', `${linkLocal}%eth0`, closedPort)).toBe(!isolated)
      })
    },
  )

  it('keeps the rules of Pods that run on, when the process goes and comes back', async () => {
    await begin(podNames)
    await isolation.close()
    expect(await network.connects('one', machineAddress, closedPort)).toBe(false)
    await network.run(
      'machine',
      `nft 'add chain bridge ${table} pod-long-gone; add element bridge ${table} wires { "wire-gone" : jump pod-long-gone }'`,
    )
    await begin(['one'])
    expect(await network.connects('one', machineAddress, closedPort)).toBe(false)
    const left = await rules()
    expect(left).toContain('pod-sandbox-one')
    expect(left).not.toContain('gone')
    expect(left).not.toContain('pod-sandbox-two')
  })

  it('sets the rules anew when somebody has flushed them', async () => {
    await begin(podNames)
    await network.run('machine', 'nft flush ruleset')
    expect(await network.connects('one', machineAddress, closedPort)).toBe(true)
    await isolation.follow(
      podNames.map((name) => network.sandbox(name)),
      signal,
    )
    expect(await network.connects('one', machineAddress, closedPort)).toBe(false)
  })

  it('leaves them as they are when nobody has touched them', async () => {
    await begin(podNames)
    await network.run('machine', `nft 'add chain inet ${table} untouched'`)
    const all = podNames.map((name) => network.sandbox(name))
    await isolation.follow(all, signal)
    expect(await rules()).toContain('chain untouched')
    for (const family of ['bridge', 'inet']) {
      await network.run('machine', `nft delete table ${family} ${table}`)
      await isolation.follow(all, signal)
      expect(await network.succeeds('machine', `nft list table ${family} ${table}`)).toBe(true)
    }
  })

  it('gives a Pod that comes when the rules were flushed its rules, and the others theirs', async () => {
    await begin(['one'])
    await network.run('machine', 'nft flush ruleset')
    await isolation.admit(network.sandbox('two'), signal)
    expect(await network.connects('one', machineAddress, closedPort)).toBe(false)
    expect(await network.connects('two', machineAddress, closedPort)).toBe(false)
  })

  it('leaves other tables alone, and none of its own when the last Pod is gone', async () => {
    await network.run('machine', `nft 'add table inet theirs; add chain inet theirs c'`)
    const before = await rules()
    await begin(podNames)
    await end()
    expect(await rules()).toBe(before)
  })
})
