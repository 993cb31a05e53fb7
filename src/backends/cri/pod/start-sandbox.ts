import { mkdir } from 'node:fs/promises'
import type { SandboxHandler } from '../../../model/capability.ts'
import { hasCode, SpillwayError } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import type { PodHappening, PodSources } from '../../backend.ts'
import { dnsConfig } from '../translate/dns-config.ts'
import { runtimeSentence } from '../runtime/errors.ts'
import { podCgroupLimits } from '../resources/linux-resources.ts'
import { podSelector } from '../marks.ts'
import type { PodHandle } from './pod-context.ts'
import { podHostname } from '../translate/pod-files.ts'
import { sandboxHandler } from '../translate/sandbox-handler.ts'
import { sandboxConfig } from '../translate/translate.ts'
import type { SandboxConfig } from '../runtime/cri-types.ts'

export interface PodStart extends PodHandle {
  readonly pod: Pod
  readonly sources: PodSources
}

export interface SandboxStart extends PodStart {
  /** Called as soon as the runtime has been asked: what is begun now does not hold that up, and has all of its time. */
  readonly onAsked: () => void
}

/** Also wanted by every CreateContainer. */
export function configOfSandbox(
  { tools, pod, ref, sources, paths }: PodStart,
  attempt: number,
  tell?: (happening: PodHappening) => void,
): SandboxConfig {
  const dns = dnsConfig(pod, sources.node, tools.hostResolvConf)
  for (const { reason, message } of dns.warnings) tell?.({ type: 'Warning', reason, message })
  return sandboxConfig({
    pod,
    owner: tools.settings,
    nodeName: sources.node.name,
    attempt,
    hostname: podHostname(pod, sources.node.clusterDomain).sandboxHostname,
    dns,
    paths,
    cgroupParent: tools.cgroups.pathOf(ref.uid),
    userNamespace: tools.userNamespaces.of(ref.uid),
  })
}

/**
 * Makes the sandbox with that attempt number, network included. Rejects with kubelet's FailedCreatePodSandBox. Busy:
 * the runtime is still making or removing one of that name, which happens when an earlier life of this process was
 * killed meanwhile; what has come of it is then looked up, so that it is adopted and never made twice.
 */
export async function startSandbox(start: SandboxStart, attempt: number, signal: AbortSignal): Promise<void> {
  try {
    await makeSandbox(start, attempt, signal)
  } catch (error) {
    if (signal.aborted) throw error
    if (hasCode(error, 'Busy')) {
      await lookUp(start, signal)
      throw error
    }
    const code = error instanceof SpillwayError ? error.code : 'Unavailable'
    const message = `Failed to create pod sandbox: ${runtimeSentence(error)}`
    throw new SpillwayError(code, message, { reason: 'FailedCreatePodSandBox', cause: error })
  }
}

async function makeSandbox(start: SandboxStart, attempt: number, signal: AbortSignal): Promise<void> {
  const { tools, pod, ref, paths, picture, tell, onAsked } = start
  const limits = podCgroupLimits(pod)
  const handler = await sandboxHandler(start, signal)
  if (pod.spec?.hostUsers === false) await takeUserNamespace(start, handler)
  const config = configOfSandbox(start, attempt, tell)
  await Promise.all([
    pod.spec?.hostNetwork ? undefined : tools.network.prepare(signal),
    mkdir(paths.logDir, { recursive: true, mode: 0o755 }),
    tools.cgroups.ensure(ref.uid, limits),
  ])
  const made = tools.sandboxGate.run(() => tools.client.runSandbox(config, handler.name, signal))
  onAsked()
  // Beside it. What cannot be read now is read again by whoever follows resizes, and told of there.
  const seen = tools.cgroups.limits(ref.uid, limits).then(
    (held) => picture.sawPodCgroup(held),
    () => undefined,
  )
  const id = await made
  await seen
  await picture.lookAtSandbox(id, signal)
}

async function takeUserNamespace({ tools, ref, paths }: PodStart, handler: SandboxHandler): Promise<void> {
  if (handler.lacks.has('userNamespace')) {
    const message = `can't set \`spec.hostUsers: false\`, RuntimeClass handler "${handler.name}" does not support user namespaces`
    throw new SpillwayError('Rejected', message)
  }
  await tools.userNamespaces.take(ref.uid, paths.podDir)
}

/** Asks the runtime for everything of this Pod. */
export async function lookUp({ tools, ref, picture }: PodHandle, signal: AbortSignal): Promise<void> {
  const selector = podSelector(tools.settings, ref.uid)
  const [sandboxes, containers] = await Promise.all([
    tools.client.listSandboxes(selector, signal),
    tools.client.listContainers(selector, signal),
  ])
  await picture.reconcile(sandboxes, containers, signal)
}
