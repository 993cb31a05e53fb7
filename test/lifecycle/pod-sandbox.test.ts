import { describe, expect, it } from 'vitest'
import { capabilitiesIn, podSandbox, sealedHandler } from '../../src/lifecycle/pod-sandbox.ts'
import { sandboxFinding } from '../../src/lifecycle/sandbox-finding.ts'
import { lacksOf } from '../../src/lifecycle/sandbox-lacks.ts'
import { refusalSentence, unsupportedUses } from '../../src/lifecycle/unsupported.ts'
import type { Capabilities } from '../../src/model/capability.ts'
import type { SandboxChoice } from '../../src/model/sandbox-choice.ts'
import { aHandler, aPod, capabilities } from '../support/builders.ts'

const gvisor = { kind: 'gvisor', recursiveReadOnlyMounts: false, userNamespaces: false } as const
const runsc = aHandler({ name: 'runsc', ...gvisor, lacks: lacksOf(gvisor) })
const runc = aHandler({ name: 'runc', kind: 'runc', forRuntimeClasses: false })

function host(overrides: Partial<Capabilities> = {}): Capabilities {
  return capabilities({ sandboxHandlers: [runc, runsc], defaultHandler: { name: 'runsc' }, ...overrides })
}

const choice = (byDefault?: string, byClass: Record<string, string> = {}): SandboxChoice => ({
  byDefault,
  byClass,
})
const classOf = (handler: string) => ({ metadata: { name: 'own' }, handler })

function chosen(of: SandboxChoice | undefined, handler?: string, backend = host()): string {
  const runtimeClass = handler === undefined ? undefined : classOf(handler)
  const sandbox = podSandbox({ choice: of, runtimeClass, capabilities: backend })
  return sandbox.ok ? sandbox.handler.name : `${sandbox.whose}: ${sandbox.why}`
}

describe('the handler of a Pod’s sandbox', () => {
  it('is the backend’s default where the pool says nothing', () => {
    expect(chosen(undefined)).toBe('runsc')
    expect(chosen(choice())).toBe('runsc')
  })

  it('is what the pool says, whether or not a RuntimeClass may name it', () => {
    expect(chosen(choice('runc'))).toBe('runc')
    expect(chosen(choice(undefined, { own: 'runc' }), 'kata')).toBe('runc')
  })

  it('is that of the RuntimeClass, where one may name it', () => {
    expect(chosen(choice('runc'), 'runsc')).toBe('runsc')
    expect(chosen(choice(), 'runc')).toBe(
      'pod: spec.runtimeClassName: handler "runc" for RuntimeClass "own" is not offered here; offered are: runsc',
    )
  })

  it('is none at all rather than another than was chosen', () => {
    expect(chosen(choice('kata'))).toBe(
      'pool: the pool\'s sandboxHandler "kata" is not offered here; offered are: runc, runsc',
    )
    expect(chosen(choice(undefined, { own: 'kata' }), 'runsc')).toBe(
      'pool: the pool\'s runtimeClasses["own"] "kata" is not offered here; offered are: runc, runsc',
    )
    expect(chosen(choice(), 'kata')).toContain('pod: spec.runtimeClassName: handler "kata"')
  })

  it('is nobody’s fault while the runtime has not answered', () => {
    const silent = host({ sandboxHandlers: [], defaultHandler: { none: undefined } })
    for (const of of [choice(), choice('runc')]) expect(chosen(of, undefined, silent)).toMatch(/^nobody: /)
    expect(chosen(choice(), 'runsc', silent)).toMatch(/^nobody: /)
    expect(sandboxFinding(silent, choice()).status).toBe('Unknown')
  })

  it('is never runc by itself', () => {
    expect(sealedHandler([runc, runsc], 'containerd')).toEqual({ name: 'runsc' })
    const alone = sealedHandler([runc], 'containerd://2.4.2 of backend "local"')
    expect(alone).toEqual({
      none:
        'nothing says what sandboxes are made by, and containerd://2.4.2 of backend "local" has no gVisor: ' +
        'install it, or let the pool say with sandboxHandler which it is to be; offered are: runc',
    })
    const backend = host({ sandboxHandlers: [runc], defaultHandler: alone })
    expect(chosen(choice(), undefined, backend)).toMatch(/^pool: nothing says/)
    expect(chosen(choice('runc'), undefined, backend)).toBe('runc')
    expect(sandboxFinding(backend, choice())).toMatchObject({ status: 'False', reason: 'NoSandboxHandler' })
    expect(sandboxFinding(backend, choice('runc'))).toEqual({
      status: 'True',
      reason: 'HandlerOffered',
      message: 'sandboxes are made by runc (runc: Pods share the machine’s kernel)',
    })
  })
})

describe('what a Pod may use in a sandbox', () => {
  const pod = aPod({ spec: { hostNetwork: true, hostUsers: false } })

  it('is what the backend offers without what the handler lacks, each with its reason', () => {
    const inside = capabilitiesIn(runsc, host())
    expect(unsupportedUses(pod, inside).map((use) => refusalSentence(use, inside))).toEqual([
      'spec.hostNetwork: host network is not offered here (a gVisor sandbox has a network stack of its own, without the machine’s interfaces)',
      'spec.hostUsers: user namespace is not offered here (its handler does not support user namespaces)',
    ])
    expect(unsupportedUses(pod, capabilitiesIn(runc, host()))).toEqual([])
  })

  it('keeps the backend’s own reason for what nobody has there', () => {
    const lacks = new Map([['hostNetwork', 'options.allow lacks it'] as const])
    const backend = host({ features: new Set(['userNamespace']), lacks })
    const inside = capabilitiesIn(runsc, backend)
    expect(inside.lacks?.get('hostNetwork')).toBe('options.allow lacks it')
    expect(inside.features.has('userNamespace')).toBe(false)
  })

  it('has SELinux options mean nothing where the machine has none, whatever the sandbox is made by', () => {
    const labelled = aPod({ spec: { securityContext: { seLinuxOptions: { level: 's0' } } } })
    for (const handler of [runc, runsc])
      expect(unsupportedUses(labelled, capabilitiesIn(handler, host()))).toEqual([])
    const guarded = host({
      features: new Set(),
      lacks: new Map([['seLinux', 'the machine has SELinux'] as const]),
    })
    expect(unsupportedUses(labelled, capabilitiesIn(runsc, guarded))).toHaveLength(1)
  })
})
