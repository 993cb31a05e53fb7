import { beforeEach, describe, expect, it } from 'vitest'
import { Isolation } from '../../../../src/backends/cri/network/isolation.ts'
import type { CniInterfaces } from '../../../../src/backends/cri/runtime/cni-interfaces.ts'
import type { SandboxStatus } from '../../../../src/backends/cri/runtime/cri-types.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import type { NodeDoor } from '../../../../src/model/node-door.ts'
import { silentLog } from '../../../../src/telemetry/log.ts'
import { settled } from '../../../support/fake-clock.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
const noNft = new SpillwayError('Unavailable', 'nft -f -: sh: 1: nft: not found')

/** nft and ip of a machine that does as it is told; what it was told can be read. */
class FakeMachine {
  readonly scripts: string[] = []
  tablesAreThere = true
  closed = false
  /** Runs before a script counts: may hold it up, or let it fail. */
  before: () => Promise<void> | void = () => undefined

  async feed({ input }: { readonly input: string }): Promise<void> {
    await this.before()
    this.scripts.push(input)
  }

  read(command: string, args: readonly string[]): Promise<string> {
    if (command === 'ip') {
      const bridge = args.at(-1) === 'spill0'
      return Promise.resolve(JSON.stringify([{ linkinfo: { info_kind: bridge ? 'bridge' : 'veth' } }]))
    }
    return this.tablesAreThere ? Promise.resolve('') : Promise.reject(new Error('No such file or directory'))
  }

  close(): void {
    this.closed = true
  }
}

let machine: FakeMachine
let doors: NodeDoor[]
let doorsChanged: () => void
let interfacesOf: (id: string) => CniInterfaces
let isolation: Isolation

beforeEach(() => {
  machine = new FakeMachine()
  doors = []
  doorsChanged = () => undefined
  interfacesOf = (id) => told(`veth-${id}`)
  isolation = anew()
})

function anew(): Isolation {
  return new Isolation({
    facts: { table: 't', hostPorts: [], blockedAddresses: [], nameServers: [] },
    doors: {
      list: () => [...doors],
      onChange: (listener) => {
        doorsChanged = listener
        return () => (doorsChanged = () => undefined)
      },
    },
    client: { cniInterfaces: (id) => Promise.resolve(interfacesOf(id)) },
    shell: machine,
    log: silentLog(),
  })
}

function told(...hostInterfaces: readonly string[]): CniInterfaces {
  return Object.fromEntries(['spill0', ...hostInterfaces].map((name) => [name, {}]))
}

function numbered(number: number, more: Partial<SandboxStatus> = {}): SandboxStatus {
  return sandbox(number, { network: { ip: `10.245.0.${number}`, additionalIps: [] }, ...more })
}

const last = () => machine.scripts.at(-1) ?? ''
const isWhole = (script: string) => script.includes('delete table inet t\n')

describe('isolation', () => {
  it('sets all rules at first, for the Pods that there are already', async () => {
    await isolation.follow([numbered(1), numbered(2)], signal)
    expect(machine.scripts).toHaveLength(1)
    expect(isWhole(last())).toBe(true)
    expect(last()).toContain('jump pod-sandbox-1')
    expect(last()).toContain('jump pod-sandbox-2')
    expect(last()).not.toContain('"spill0"')
  })

  it('adds what a Pod needs, once, however many of its containers ask', async () => {
    await isolation.follow([], signal)
    await Promise.all([isolation.admit(numbered(1), signal), isolation.admit(numbered(1), signal)])
    await isolation.admit(numbered(1), signal)
    const added = machine.scripts.slice(1)
    expect(added.filter((script) => script.includes('add chain inet t pod-sandbox-1\n'))).toHaveLength(1)
    expect(added.some(isWhole)).toBe(false)
  })

  it('lets no Pod pass before its rules are set, and sets those of all that wait at once', async () => {
    await isolation.follow([], signal)
    const { promise, resolve } = Promise.withResolvers<void>()
    machine.before = () => promise
    const passed: number[] = []
    const admitted = [1, 2, 3].map(async (number) => {
      await isolation.admit(numbered(number), signal)
      passed.push(number)
    })
    await settled()
    expect(passed).toEqual([])
    machine.before = () => undefined
    resolve()
    await Promise.all(admitted)
    // The whole at the start, the first one, and the two that waited meanwhile.
    expect(machine.scripts.length).toBeLessThanOrEqual(3)
    for (const number of [1, 2, 3]) expect(machine.scripts.join('')).toContain(`jump pod-sandbox-${number}`)
  })

  it('takes away what belonged to a Pod that is gone', async () => {
    await isolation.follow([numbered(1), numbered(2)], signal)
    isolation.release('sandbox-1')
    await settled()
    expect(last()).toContain('delete chain inet t pod-sandbox-1')
    expect(last()).toContain('delete element inet t pods4 { 10.245.0.1 }')
    expect(last()).not.toContain('sandbox-2')
  })

  it('takes away what belonged to one that ended unseen', async () => {
    await isolation.follow([numbered(1), numbered(2)], signal)
    await isolation.follow([numbered(1, { state: 'SANDBOX_NOTREADY' }), numbered(2)], signal)
    expect(last()).toContain('delete chain inet t pod-sandbox-1')
  })

  it('gives an interface to its next Pod, and does not take it away again with the last', async () => {
    interfacesOf = () => told('cali1')
    await isolation.follow([numbered(1)], signal)
    await isolation.admit(numbered(2), signal)
    expect(last()).toContain('add element inet t wires { "cali1" : jump pod-sandbox-2 }')
    const before = machine.scripts.length
    isolation.release('sandbox-1')
    await settled()
    expect(machine.scripts.slice(before).join('')).not.toContain('delete')
  })

  it('has nothing to do with Pods on the machine’s own network', async () => {
    const host = numbered(1, { linux: { namespaces: { options: { network: 'NODE' } } } })
    interfacesOf = () => ({})
    await isolation.follow([host], signal)
    await isolation.admit(host, signal)
    expect(machine.scripts.join('')).not.toContain('sandbox-1')
  })

  it('follows the doors of the cluster’s nodes', async () => {
    await isolation.follow([], signal)
    doors.push({ address: '10.0.0.5', port: 10_250 })
    doorsChanged()
    await settled()
    expect(last()).toBe('add element inet t doors4 { 10.0.0.5 . 10250 }\n')
  })

  it('refuses a Pod that hangs on nothing that rules can be set for', async () => {
    await isolation.follow([], signal)
    interfacesOf = () => told()
    await expect(isolation.admit(numbered(1), signal)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('options.network.isolation') as string,
    })
  })

  it('refuses every Pod while the rules cannot be set, says why, and goes on when they can', async () => {
    machine.before = () => Promise.reject(noNft)
    await isolation.follow([], signal)
    expect(isolation.trouble).toMatch(
      /nft: not found .*install nftables, or set options.network.isolation to Off/,
    )
    await expect(isolation.prepare(signal)).rejects.toThrow('install nftables')
    await expect(isolation.admit(numbered(1), signal)).rejects.toThrow('install nftables')
    machine.before = () => undefined
    await isolation.prepare(signal)
    await isolation.admit(numbered(1), signal)
    expect(isolation.trouble).toBeUndefined()
    expect(last()).toContain('jump pod-sandbox-1')
  })

  it('sets nothing before it knows which Pods there are: rules of an earlier life may be guarding some', async () => {
    await expect(isolation.admit(numbered(1), signal)).rejects.toThrow('not known yet')
    interfacesOf = () => {
      throw new SpillwayError('Unavailable', 'containerd does not answer')
    }
    await isolation.follow([numbered(2)], signal)
    await expect(isolation.prepare(signal)).rejects.toThrow('containerd does not answer')
    expect(machine.scripts).toEqual([])
    await isolation.close()
    expect(machine.scripts).toEqual([])
  })

  it('sets all of it anew when a change is refused, or when the tables are gone', async () => {
    await isolation.follow([numbered(1)], signal)
    let fails = true
    machine.before = () => {
      if (!fails) return
      fails = false
      throw new SpillwayError('Unavailable', 'nft -f -: No such file or directory')
    }
    await isolation.admit(numbered(2), signal)
    expect(isWhole(last())).toBe(true)
    expect(last()).toContain('jump pod-sandbox-1')
    expect(last()).toContain('jump pod-sandbox-2')
    const before = machine.scripts.length
    await isolation.follow([numbered(1), numbered(2)], signal)
    expect(machine.scripts).toHaveLength(before)
    machine.tablesAreThere = false
    await isolation.follow([numbered(1), numbered(2)], signal)
    expect(machine.scripts).toHaveLength(before + 1)
    expect(isWhole(last())).toBe(true)
  })

  it('stays for Pods that run on when the process goes, and goes with the last', async () => {
    await isolation.follow([numbered(1)], signal)
    await isolation.close()
    expect(machine.scripts).toHaveLength(1)
    expect(machine.closed).toBe(true)
    isolation = anew()
    await isolation.follow([], signal)
    await isolation.close()
    expect(last()).toBe('add table bridge t\ndelete table bridge t\nadd table inet t\ndelete table inet t')
  })
})
