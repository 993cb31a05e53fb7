import { describe, expect, it } from 'vitest'
import { criCapabilities, type CriCapabilitiesInput } from '../../../src/backends/cri/capabilities.ts'
import { allowances, criOptionProblems, type CriOptions } from '../../../src/backends/cri/config.ts'
import { runtimeFacts } from '../../../src/backends/cri/runtime/runtime-facts.ts'

const required = { socket: '/run/c.sock', stateDir: '/state', cgroupParent: '/spillway/pods' }
const plain = { name: '', recursiveReadOnlyMounts: true, userNamespaces: false }
const gvisor = { name: 'runsc', recursiveReadOnlyMounts: false, userNamespaces: false }
const runtime = {
  handlers: [plain, { ...plain, name: 'runc' }, gvisor],
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
    const mapped = { ...runtime, handlers: [{ ...plain, userNamespaces: true }] }
    expect(offered({}, { runtime: mapped }).features.has('userNamespace')).toBe(true)
    expect(offered().features.has('seLinux')).toBe(true)
    expect(offered({}, { hasSeLinux: true }).features.has('seLinux')).toBe(false)
  })

  it('leaves to RuntimeClasses the default sandbox and the handlers that are listed and there', () => {
    expect(offered().sandboxHandlers).toEqual([plain])
    expect(offered({ runtimeHandlers: ['runsc', 'kata'] }).sandboxHandlers).toEqual([plain, gvisor])
    expect(offered({ runtimeHandler: 'runsc' }).sandboxHandlers).toEqual([{ ...gvisor, name: '' }, gvisor])
    expect(offered({}, { runtime: undefined }).sandboxHandlers).toEqual([])
  })
})

describe('what a runtime says of itself', () => {
  it('is read from its status', () => {
    const features = { recursiveReadOnlyMounts: true, userNamespaces: true }
    const runtimeHandlers = [
      { name: '', features },
      { name: 'old', features: null },
    ]
    const status = { status: null, info: {}, runtimeHandlers, features: { supplementalGroupsPolicy: true } }
    expect(runtimeFacts(status, 'containerd://2.4.2')).toEqual({
      handlers: [
        { name: '', recursiveReadOnlyMounts: true, userNamespaces: true },
        { name: 'old', recursiveReadOnlyMounts: false, userNamespaces: false },
      ],
      supplementalGroupsPolicy: true,
      version: 'containerd://2.4.2',
    })
  })

  it('is nothing special when it says nothing', () => {
    const status = { status: null, info: {}, runtimeHandlers: [], features: null }
    expect(runtimeFacts(status, 'containerd://1')).toMatchObject({
      handlers: [],
      supplementalGroupsPolicy: false,
    })
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
