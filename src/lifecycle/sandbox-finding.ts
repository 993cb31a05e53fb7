import type { Capabilities, SandboxHandler, SandboxKind } from '../model/capability.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'
import { podSandbox } from './pod-sandbox.ts'

/** For a condition: whether Pods without a RuntimeClass get a sandbox in a pool, and what kind. */
export interface SandboxFinding {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

const walls: Readonly<Record<SandboxKind, string>> = {
  gvisor: 'gVisor: each Pod has a kernel of its own',
  kata: 'Kata: each Pod has a virtual machine of its own',
  runc: 'runc: Pods share the machine’s kernel',
  simulated: 'simulated: there are no containers',
  unknown: 'the runtime does not say what they keep apart',
}

/** As in `runsc (gVisor: each Pod has a kernel of its own)`. */
export function describeHandler({ name, kind }: Pick<SandboxHandler, 'name' | 'kind'>): string {
  return name === '' ? walls[kind] : `${name} (${walls[kind]})`
}

/** Pure. */
export function sandboxFinding(capabilities: Capabilities, choice: SandboxChoice): SandboxFinding {
  const sandbox = podSandbox({ choice, runtimeClass: undefined, capabilities })
  if (sandbox.ok) {
    const message = `sandboxes are made by ${describeHandler(sandbox.handler)}`
    return { status: 'True', reason: 'HandlerOffered', message }
  }
  if (sandbox.whose === 'nobody') return { status: 'Unknown', reason: 'NotAsked', message: sandbox.why }
  return { status: 'False', reason: 'NoSandboxHandler', message: sandbox.why }
}
