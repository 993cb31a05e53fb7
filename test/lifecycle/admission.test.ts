import { describe, expect, it } from 'vitest'
import { admit, type AdmissionInput } from '../../src/lifecycle/admission.ts'
import { podFeatures } from '../../src/model/capability.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { aContainer, aNode, aPod, capabilities } from '../support/builders.ts'

const everything = capabilities()

function verdictOf(spec: Partial<PodSpec>, input: Partial<AdmissionInput> = {}) {
  return admit({ pod: aPod({ spec }), node: aNode(), others: [], capabilities: everything, ...input })
}

function asking(cpu: string) {
  return { containers: [aContainer({ resources: { requests: { cpu } } })] }
}

function reasonOf(spec: Partial<PodSpec>, input: Partial<AdmissionInput> = {}): string {
  const verdict = verdictOf(spec, input)
  return verdict.kind === 'admit' || verdict.kind === 'preempt' ? verdict.kind : verdict.reason
}

describe('the door of a node', () => {
  it('lets in what fits', () => {
    expect(verdictOf(asking('8'))).toEqual({ kind: 'admit' })
  })

  it('holds who could get no sandbox before the pool is changed, and counts nobody against a budget for it', () => {
    const asked: string[] = []
    const budget = () => void asked.push('budget')
    const noSandbox = 'nothing says what sandboxes are made by'
    expect(verdictOf({}, { noSandbox, budget })).toEqual({
      kind: 'hold',
      reason: 'NoSandboxHandler',
      message: noSandbox,
    })
    expect(asked).toEqual([])
    // What runs has its sandbox.
    expect(verdictOf({}, { noSandbox, isResize: true })).toEqual({ kind: 'admit' })
  })

  it('counts the Pods that are in already, in the words of kubelet', () => {
    const others = [aPod({ name: 'other', spec: asking('7') })]
    expect(verdictOf(asking('2'), { others })).toEqual({
      kind: 'refuse',
      reason: 'OutOfcpu',
      message: "Node didn't have enough resource: cpu, requested: 2000, used: 7000, capacity: 8000",
    })
    expect(reasonOf({}, { node: aNode({ allocatable: { pods: '1' } }), others })).toBe('OutOfpods')
  })

  it('looks past extended resources that are the cluster’s, and not past those of the node', () => {
    const resources = { requests: { 'a.example/cluster': '1', 'b.example/device': '3' } }
    const spec = { containers: [aContainer({ resources })] }
    const node = aNode({ allocatable: { 'b.example/device': '2' } })
    expect(reasonOf(spec)).toBe('admit')
    expect(reasonOf(spec, { node })).toBe('OutOfb.example/device')
  })

  it('wants selector and required affinity to match', () => {
    expect(reasonOf({ nodeSelector: { 'spillway.dev/pool': 'burst' } })).toBe('admit')
    expect(reasonOf({ nodeSelector: { 'spillway.dev/pool': 'other' } })).toBe('NodeAffinity')
    const matchExpressions = [{ key: 'type', operator: 'NotIn', values: ['virtual-kubelet'] }]
    const required = { nodeSelectorTerms: [{ matchExpressions }] }
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } }
    expect(reasonOf({ affinity })).toBe('NodeAffinity')
  })

  it('looks at NoExecute taints alone, as kubelet does', () => {
    const tainted = (effect: string) =>
      aNode({ spec: { taints: [{ key: 'spillway.dev/virtual-node', effect }] } })
    expect(reasonOf({}, { node: tainted('NoSchedule') })).toBe('admit')
    expect(reasonOf({}, { node: tainted('NoExecute') })).toBe('TaintToleration')
    const tolerations = [{ operator: 'Exists' }]
    expect(reasonOf({ tolerations }, { node: tainted('NoExecute') })).toBe('admit')
  })

  it('gives a host port once', () => {
    const withPort = (hostIP?: string) => {
      const port = { containerPort: 80, hostPort: 8080, ...(hostIP && { hostIP }) }
      return { containers: [aContainer({ ports: [port] })] }
    }
    const others = [aPod({ name: 'other', spec: withPort('10.0.0.1') })]
    expect(reasonOf(withPort(), { others })).toBe('NodePorts')
    expect(reasonOf(withPort('10.0.0.2'), { others })).toBe('admit')
  })

  it('lets a Pod wait for a port that a node on the same machine has given out', () => {
    const ports = [{ containerPort: 80, hostPort: 8080 }]
    const spec = { containers: [aContainer({ ports })] }
    const other = aPod({ name: 'other', spec: { ...spec, nodeName: 'burst-1' } })
    const neighbours = () => [other]
    expect(verdictOf(spec, { neighbours })).toEqual({
      kind: 'hold',
      reason: 'NodePorts',
      message:
        "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports: TCP port 8080 is " +
        "Pod default/other on node burst-1's, which stands on the same machine",
    })
    expect(reasonOf({}, { neighbours })).toBe('admit')
    expect(reasonOf({ ...spec, os: { name: 'windows' } }, { neighbours })).toBe('PodOSNotSupported')
  })

  it('refuses another operating system', () => {
    expect(reasonOf({ os: { name: 'windows' } })).toBe('PodOSNotSupported')
  })

  it('names every field that asks for what the backend does not offer', () => {
    const features = new Set(podFeatures.filter((one) => one !== 'postStartHook' && one !== 'hostPID'))
    const exec = { command: ['true'] }
    const spec = { hostPID: true, containers: [aContainer({ lifecycle: { postStart: { exec } } })] }
    const lacks = new Map([['hostPID', 'options.allow of backend "local" lacks "hostPID"'] as const])
    expect(verdictOf(spec, { capabilities: capabilities({ features, lacks }) })).toEqual({
      kind: 'refuse',
      reason: 'UnsupportedPodSpec',
      message:
        'spec.hostPID: host PID is not offered here (options.allow of backend "local" lacks "hostPID"); ' +
        'spec.containers[0].lifecycle.postStart: post start hook is not offered here',
    })
  })

  it('refuses kernel parameters before it looks for room, as kubelet does', () => {
    const securityContext = { sysctls: [{ name: 'kernel.msgmax', value: '65536' }] }
    const spec = { ...asking('900'), securityContext }
    expect(verdictOf(spec)).toEqual({
      kind: 'refuse',
      reason: 'SysctlForbidden',
      message: 'forbidden sysctl: "kernel.msgmax" not allowlisted',
    })
    expect(reasonOf(spec, { capabilities: capabilities({ sysctls: ['kernel.msg*'] }) })).toBe('OutOfcpu')
  })

  it('refuses AppArmor and strict groups in the words of kubelet where they cannot be', () => {
    const lacking = new Set(
      podFeatures.filter((one) => one !== 'appArmor' && one !== 'supplementalGroupsPolicy'),
    )
    const input = { capabilities: capabilities({ features: lacking }) }
    const profile = (type: string) => ({ securityContext: { appArmorProfile: { type } } })
    expect(verdictOf(profile('RuntimeDefault'), input)).toMatchObject({
      reason: 'AppArmor',
      message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host',
    })
    expect(reasonOf(profile('Unconfined'), input)).toBe('admit')
    const strict = { securityContext: { supplementalGroupsPolicy: 'Strict' } } as const
    expect(reasonOf(strict, input)).toBe('SupplementalGroupsPolicyNotSupported')
  })

  it('holds a Pod of a DaemonSet instead of failing it', () => {
    const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'agent', uid: '1', controller: true }
    const pod = aPod({ metadata: { name: 'a', namespace: 'default', uid: '2', ownerReferences: [owner] } })
    const verdict = admit({ pod, node: aNode(), others: [], capabilities: everything })
    expect(verdict).toMatchObject({ kind: 'hold', reason: 'DaemonSetForbidden' })
  })

  it('asks the operator’s rules last', () => {
    const policy = [() => ({ reason: 'OverBudget', message: 'spent' })]
    expect(reasonOf({}, { policy })).toBe('OverBudget')
  })
})
