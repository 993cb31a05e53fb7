import type { Capabilities } from '../model/capability.ts'
import { controllerOf } from '../model/controller-of.ts'
import type { Node, Pod } from '../model/kubernetes.ts'
import { isCritical } from './critical-pod.ts'
import { hostPortsOf, portsClash } from './host-ports.ts'
import { nodeMatches } from './node-affinity.ts'
import { pressureRefusal } from './node-pressure.ts'
import { shortfalls, type Shortfall } from './node-room.ts'
import { preempt } from './preemption.ts'
import { sysctlRefusal } from './sysctls.ts'
import { untoleratedTaint } from './tolerations.ts'
import { refusalSentence, unsupportedUses } from './unsupported.ts'

export interface AdmissionInput {
  readonly pod: Pod
  readonly node: Node
  /** The Pods that the node already let in and that have not ended, with what was set aside for them as their spec. */
  readonly others: readonly Pod[]
  /** Those of other nodes on the same machine, which share its ports. Asked only for Pods that want some. */
  readonly neighbours?: () => readonly Pod[]
  /** In the sandbox that it would get. */
  readonly capabilities: Capabilities
  /** Why no sandbox can be made for it before somebody changes the pool. */
  readonly noSandbox?: string | undefined
  /** The Pod is in, and asks for another size: nobody is ended for that (upstream's coming rule: the scheduler does). */
  readonly isResize?: true
  /** Rules of the operator: security profile. The first that answers with a reason refuses. */
  readonly policy?: readonly AdmissionRule[]
  /** Asked last: who is let in is counted. */
  readonly budget?: (pod: Pod) => BudgetRefused | undefined
}

export interface BudgetRefused extends Refused {
  /** It may be known in a moment whether there is room: nobody is failed for that. */
  readonly isUnknown: boolean
}

export type AdmissionRule = (pod: Pod) => Refused | undefined

export interface Refused {
  readonly reason: string
  readonly message: string
}

export type Verdict =
  | { readonly kind: 'admit' }
  /** The Pod is Failed with this reason, as kubelet does; its controller makes another, which may go elsewhere. */
  | ({ readonly kind: 'refuse' } & Refused)
  /** The Pod stays Pending with one event: failing it would make its controller send the next one at once. */
  | ({ readonly kind: 'hold' } & Refused)
  | Preempt

/** The Pod comes in when these have gone, and those that are leaving already. */
export interface Preempt {
  readonly kind: 'preempt'
  readonly victims: readonly Pod[]
}

/**
 * The door of a node, through which every Pod goes however it got its `nodeName`. Order, reasons and messages are
 * kubelet's (pkg/kubelet: eviction, sysctl, lifecycle/predicate.go, preemption); like kubelet it looks at NoExecute taints alone,
 * since who sets `nodeName` by hand has overruled NoSchedule. What the backend cannot do comes after: it is the more
 * special reason.
 */
export function admit(input: AdmissionInput & { readonly isResize: true }): Exclude<Verdict, Preempt>
export function admit(input: AdmissionInput): Verdict
export function admit(input: AdmissionInput): Verdict {
  const { pod, node, others } = input
  const held = holdDaemon(pod)
  if (held) return { kind: 'hold', ...held }
  const short = shortfalls(pod, node, others)
  const mayPreempt = isCritical(pod) && !input.isResize
  const [first] = mayPreempt ? [] : short
  const refused =
    refuseUnderPressure(input) ??
    refuseSysctls(input) ??
    refuseSystem(input) ??
    (first && outOf(first)) ??
    refusePlacement(input) ??
    refuseFeatures(input) ??
    firstRefusal(input)
  if (refused) return { kind: 'refuse', ...refused }
  if (short.length > 0) return makeRoom(input, short)
  // Held, not failed: its controller would send the next one here at once, and the pool may be mended in a moment.
  if (input.noSandbox !== undefined && !input.isResize)
    return { kind: 'hold', reason: 'NoSandboxHandler', message: input.noSandbox }
  const waiting = waitForPorts(input)
  return waiting ? { kind: 'hold', ...waiting } : askBudget(input)
}

/**
 * A controller would send the next one here at once, and the budget may have no room for a month; a Job would count it
 * as a failure. So only a Pod that nobody replaces is Failed.
 */
function askBudget({
  pod,
  isResize,
  budget,
}: AdmissionInput): Verdict & { readonly kind: 'admit' | 'hold' | 'refuse' } {
  const refused = isResize ? undefined : budget?.(pod)
  if (!refused) return { kind: 'admit' }
  const { reason, message, isUnknown } = refused
  return { kind: isUnknown || controllerOf(pod) ? 'hold' : 'refuse', reason, message }
}

/**
 * The scheduler does not know that two virtual nodes have one machine's ports between them: it would send the Pod that
 * replaces a failed one here again, at once and for ever.
 */
function waitForPorts({ pod, neighbours }: AdmissionInput): Refused | undefined {
  const wanted = hostPortsOf(pod)
  if (wanted.length === 0 || !neighbours) return undefined
  for (const other of neighbours()) {
    const taken = hostPortsOf(other).find((port) => wanted.some((one) => portsClash(one, port)))
    if (!taken) continue
    const who = `Pod ${other.metadata?.namespace}/${other.metadata?.name} on node ${other.spec?.nodeName}`
    const why = `${taken.protocol} port ${taken.port} is ${who}'s, which stands on the same machine`
    return failed('NodePorts', `node(s) didn't have free ports for the requested pod ports: ${why}`)
  }
  return undefined
}

/**
 * A DaemonSet wants one Pod on each node that lets it; one that never becomes available here would stall the rolling
 * update on all servers, and one that is Failed is replaced in a loop.
 */
function holdDaemon(pod: Pod): Refused | undefined {
  const owner = controllerOf(pod)
  if (owner?.kind !== 'DaemonSet') return undefined
  const message =
    `DaemonSet ${pod.metadata?.namespace}/${owner.name} cannot run on a virtual node, which has no server behind it; ` +
    `keep it off with the node affinity "type NotIn [virtual-kubelet]"`
  return { reason: 'DaemonSetForbidden', message }
}

function refuseUnderPressure({ pod, node }: AdmissionInput): Refused | undefined {
  const message = pressureRefusal(pod, node)
  return message === undefined ? undefined : { reason: 'Evicted', message }
}

function refuseSysctls({ pod, capabilities }: AdmissionInput): Refused | undefined {
  const message = sysctlRefusal(pod, capabilities.sysctls)
  return message === undefined ? undefined : { reason: 'SysctlForbidden', message }
}

function refuseSystem({ pod, node, capabilities }: AdmissionInput): Refused | undefined {
  const nodeOs = node.status?.nodeInfo?.operatingSystem ?? node.metadata?.labels?.[osLabel] ?? 'linux'
  // Kubelet reads this one off the Pod's labels, not its selector; the selector is part of the affinity.
  const labelled = pod.metadata?.labels?.[osLabel]
  if (labelled !== undefined && labelled !== nodeOs) {
    const message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
    return { reason: 'PodOSSelectorNodeLabelDoesNotMatch', message }
  }
  const { os, securityContext } = pod.spec ?? {}
  if (os && os.name !== nodeOs) {
    return {
      reason: 'PodOSNotSupported',
      message: "Failed to admit pod as the OS field doesn't match node OS",
    }
  }
  if (
    securityContext?.supplementalGroupsPolicy === 'Strict' &&
    !capabilities.features.has('supplementalGroupsPolicy')
  ) {
    const message = 'SupplementalGroupsPolicy=Strict is not supported in this node'
    return { reason: 'SupplementalGroupsPolicyNotSupported', message }
  }
  return undefined
}

const osLabel = 'kubernetes.io/os'

function outOf({ resource, requested, used, capacity }: Shortfall): Refused {
  const message = `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`
  return { reason: `OutOf${resource}`, message }
}

/** Who is critical to the system is not turned away for want of room: others make it. */
function makeRoom({ pod, others }: AdmissionInput, short: readonly Shortfall[]): Verdict {
  const preemption = preempt(pod, others, short)
  if (preemption.kind === 'possible') return { kind: 'preempt', victims: preemption.victims }
  return { kind: 'refuse', reason: 'UnexpectedAdmissionError', message: preemption.message }
}

function refusePlacement({ pod, node, others }: AdmissionInput): Refused | undefined {
  if (!nodeMatches(pod, node)) {
    return failed('NodeAffinity', "node(s) didn't match Pod's node affinity/selector")
  }
  if (pod.spec?.nodeName && pod.spec.nodeName !== node.metadata?.name) {
    return failed('NodeName', "node(s) didn't match the requested node name")
  }
  const wanted = hostPortsOf(pod)
  const taken = others.flatMap(hostPortsOf)
  if (wanted.some((port) => taken.some((other) => portsClash(port, other)))) {
    return failed('NodePorts', "node(s) didn't have free ports for the requested pod ports")
  }
  const { tolerations = [] } = pod.spec ?? {}
  if (untoleratedTaint(node.spec?.taints ?? [], tolerations, new Set(['NoExecute']))) {
    return failed('TaintToleration', "node(s) had taints that the pod didn't tolerate")
  }
  return undefined
}

function failed(predicate: string, why: string): Refused {
  return { reason: predicate, message: `Predicate ${predicate} failed: ${why}` }
}

/** Names each field that asks for what the backend cannot do: nothing of a Pod is ignored in silence. */
function refuseFeatures({ pod, capabilities }: AdmissionInput): Refused | undefined {
  const missing = unsupportedUses(pod, capabilities)
  if (missing.length === 0) return undefined
  if (missing.some(({ feature }) => feature === 'appArmor')) {
    // Kubelet's own reason and words for it (pkg/security/apparmor).
    return {
      reason: 'AppArmor',
      message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host',
    }
  }
  const sentences = missing.map((use) => refusalSentence(use, capabilities))
  return { reason: 'UnsupportedPodSpec', message: sentences.join('; ') }
}

function firstRefusal({ pod, policy = [] }: AdmissionInput): Refused | undefined {
  for (const rule of policy) {
    const refused = rule(pod)
    if (refused) return refused
  }
  return undefined
}
