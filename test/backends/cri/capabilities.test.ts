import { describe, expect, it } from 'vitest'
import { criCapabilities, type CriCapabilitiesInput } from '../../../src/backends/cri/capabilities.ts'
import { allowances, criOptionProblems, type CriOptions } from '../../../src/backends/cri/config.ts'
import type { RuntimeHandler } from '../../../src/backends/cri/runtime/cri-types.ts'
import { runtimeFacts, type RuntimeFacts } from '../../../src/backends/cri/runtime/runtime-facts.ts'

const required = { socket: '/run/c.sock', stateDir: '/state', cgroupParent: '/spillway/pods' }
const plain = { name: '', kind: 'runc', recursiveReadOnlyMounts: true, userNamespaces: false } as const
const runc = { ...plain, name: 'runc' }
// It says so of itself, and no Pod can have them.
const gvisor = {
  name: 'runsc',
  kind: 'gvisor',
  recursiveReadOnlyMounts: false,
  userNamespaces: true,
} as const
const runtime: RuntimeFacts = {
  handlers: [plain, runc, gvisor],
  supplementalGroupsPolicy: true,
  version: 'containerd://2.4.2',
}

function offered(options: Partial<CriOptions> = {}, input: Partial<CriCapabilitiesInput> = {}) {
  return criCapabilities({
    name: 'local',
    options: { ...required, ...options },
    runtime,
    kernelRelease: '6.18.0',
    hasAppArmor: false,
    hasSeLinux: false,
    ...input,
  })
}

describe('what a containerd host offers', () => {
  it('is nothing that breaks the isolation of Pods, unless an option allows it', () => {
    const { features, lacks } = offered()
    for (const feature of ['hostIPC', 'hostNetwork', 'hostPID', 'hostPort', 'privileged'] as const) {
      expect(features.has(feature)).toBe(false)
      expect(lacks?.get(feature)).toBe(`options.allow of backend "local" lacks "${feature}"`)
    }
    expect(features.has('linuxCapability')).toBe(false)
    expect(features.has('localSeccompProfile')).toBe(false)
  })

  it('is what the options allow, each by its own', () => {
    expect(offered({ allow: ['hostNetwork'] }).features.has('hostNetwork')).toBe(true)
    expect(offered({ allow: ['hostNetwork'] }).features.has('hostPID')).toBe(false)
    expect(offered({ allow: [...allowances] }).features.has('privileged')).toBe(true)
    expect(offered({ capabilities: ['ALL'] }).features.has('linuxCapability')).toBe(true)
    const some = offered({
      capabilities: ['NET_ADMIN'],
      unsafeSysctls: ['net.core.*'],
      seccompProfiles: '/s',
    })
    expect(some.features.has('linuxCapability')).toBe(false)
    expect(some.linuxCapabilities).toEqual(['NET_ADMIN'])
    expect(some.sysctls).toContain('net.core.*')
    expect(some.sysctls).toContain('net.ipv4.tcp_syncookies')
    expect(some.features.has('localSeccompProfile')).toBe(true)
  })

  it('depends on the machine and on its runtime', () => {
    expect(offered().features.has('appArmor')).toBe(false)
    expect(offered({}, { hasAppArmor: true }).features.has('appArmor')).toBe(true)
    expect(offered().features.has('supplementalGroupsPolicy')).toBe(true)
    expect(offered({}, { runtime: undefined }).features.has('supplementalGroupsPolicy')).toBe(false)
    expect(offered().features.has('userNamespace')).toBe(false)
    const mapped = { ...runtime, handlers: [{ ...runc, userNamespaces: true }] }
    expect(offered({}, { runtime: mapped }).features.has('userNamespace')).toBe(true)
    expect(offered().features.has('seLinux')).toBe(true)
    expect(offered({}, { hasSeLinux: true }).features.has('seLinux')).toBe(false)
  })

  it('is every handler of the runtime for pools, and to RuntimeClasses gVisor and those that are listed', () => {
    const open = (options: Partial<CriOptions> = {}) =>
      offered(options).sandboxHandlers.map(({ name, forRuntimeClasses }) => [name, forRuntimeClasses])
    expect(open()).toEqual([
      ['runc', false],
      ['runsc', true],
    ])
    expect(open({ runtimeHandlers: ['runc', 'kata'] })[0]).toEqual(['runc', true])
    expect(open({ runtimeHandler: 'runc' })[0]).toEqual(['runc', true])
    expect(offered({}, { runtime: undefined }).sandboxHandlers).toEqual([])
  })

  it('is without what each kind of sandbox lacks', () => {
    const [ofRunc, ofGvisor] = offered().sandboxHandlers
    expect([...(ofRunc?.lacks.keys() ?? [])]).toEqual(['userNamespace', 'procMount'])
    for (const feature of [
      'hostNetwork',
      'hostPID',
      'recursiveReadOnly',
      'sysctls',
      'userNamespace',
    ] as const)
      expect(ofGvisor?.lacks.get(feature)).toBeDefined()
  })

  it('has gVisor for pools that choose nothing, or what its options say, and never runc by itself', () => {
    expect(offered().defaultHandler).toEqual({ name: 'runsc' })
    expect(offered({ runtimeHandler: 'runc' }).defaultHandler).toEqual({ name: 'runc' })
    expect(offered({}, { runtime: undefined }).defaultHandler).toEqual({ none: undefined })
    expect(offered({}, { runtime: { ...runtime, handlers: [plain, runc] } }).defaultHandler).toEqual({
      none: expect.stringContaining('containerd://2.4.2 of backend "local" has no gVisor'),
    })
    expect(offered({ runtimeHandler: 'kata' }).defaultHandler).toEqual({
      none: 'options.runtimeHandler of backend "local": found "kata", which containerd://2.4.2 does not have; allowed: runc, runsc',
    })
  })
})

describe('what a runtime says of itself', () => {
  const told = (config: object | undefined, listed: readonly RuntimeHandler[]) => {
    const info: Record<string, string> = config ? { config: JSON.stringify(config) } : {}
    const status = {
      status: null,
      info,
      runtimeHandlers: listed,
      features: { supplementalGroupsPolicy: true },
    }
    return runtimeFacts(status, 'containerd://2.4.2')
  }
  const features = { recursiveReadOnlyMounts: true, userNamespaces: true }
  const runtimes = {
    runc: { runtimeType: 'io.containerd.runc.v2', options: { BinaryName: '/usr/sbin/runc' } },
    sealed: { runtimeType: 'io.containerd.runsc.v1', options: { TypeUrl: 'io.containerd.runsc.v1.options' } },
    vm: { runtimeType: 'io.containerd.kata-qemu.v2' },
    byPath: { runtimeType: '/opt/bin/containerd-shim-runsc-v1' },
    other: { runtimeType: 'io.containerd.wasmtime.v1' },
    // What is behind the shim of runc may be anything.
    disguised: { runtimeType: 'io.containerd.runc.v2', options: { BinaryName: '/usr/bin/youknowwhat' } },
  }
  const config = { containerd: { defaultRuntimeName: 'runc', runtimes } }

  it('is read from its status, and the kind of each handler from the configuration in it', () => {
    const names = ['', ...Object.keys(runtimes), 'gvisor']
    const facts = told(
      config,
      names.map((name) => ({ name, features: name === 'vm' ? null : features })),
    )
    expect(Object.fromEntries(facts.handlers.map(({ name, kind }) => [name, kind]))).toEqual({
      '': 'runc',
      runc: 'runc',
      sealed: 'gvisor',
      vm: 'kata',
      byPath: 'gvisor',
      other: 'unknown',
      disguised: 'unknown',
      // A name is no evidence.
      gvisor: 'unknown',
    })
    expect(facts.handlers[0]).toEqual({ name: '', kind: 'runc', ...features })
    expect(facts.handlers[3]).toMatchObject({ recursiveReadOnlyMounts: false, userNamespaces: false })
    expect(facts.supplementalGroupsPolicy).toBe(true)
  })

  it('is its configuration where it lists no handlers, as containerd before 2.0', () => {
    expect(
      told(config, [])
        .handlers.map(({ name, kind }) => [name, kind])
        .slice(0, 3),
    ).toEqual([
      ['', 'runc'],
      ['runc', 'runc'],
      ['sealed', 'gvisor'],
    ])
  })

  it('is nothing special when it says nothing, or what nobody understands', () => {
    expect(told(undefined, [{ name: 'runsc', features: null }]).handlers).toEqual([
      { name: 'runsc', kind: 'unknown', recursiveReadOnlyMounts: false, userNamespaces: false },
    ])
    const status = { status: null, info: { config: 'not JSON' }, runtimeHandlers: [], features: null }
    expect(runtimeFacts(status, 'x://1')).toMatchObject({ handlers: [], supplementalGroupsPolicy: false })
  })
})

describe('the options', () => {
  it('say what is wrong and what is allowed', () => {
    expect(criOptionProblems({ ...required, allow: ['hostnetwork'] }, 'options')).toEqual([
      'options.allow[0]: found "hostnetwork"; allowed: "hostIPC", "hostNetwork", "hostPath", "hostPID", "hostPort", "privileged"',
    ])
    const unsafeSysctls = ['net.core.somaxconn', 'kernel.panic']
    expect(criOptionProblems({ ...required, unsafeSysctls }, 'options')).toEqual([
      expect.stringContaining('options.unsafeSysctls[1]: found "kernel.panic"'),
    ])
  })
})
