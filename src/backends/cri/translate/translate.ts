import { join } from 'node:path'
import { expandVariables } from '../../../lifecycle/expand-variables.ts'
import { anyAddress, hostPortsOf } from '../../../lifecycle/host-ports.ts'
import { dottedSysctl } from '../../../lifecycle/sysctls.ts'
import { givenResources } from '../../../lifecycle/given-resources.ts'
import type { Container, Pod } from '../../../model/kubernetes.ts'
import { podRef } from '../../../model/pod-key.ts'
import { isSidecar } from '../../../model/resources.ts'
import type {
  ContainerConfig,
  CriImage,
  MountConfig,
  PortMapping,
  SandboxConfig,
} from '../runtime/cri-types.ts'
import { containerResources, sandboxOverhead, sandboxResources } from '../resources/linux-resources.ts'
import type { Machine } from '../resources/machine.ts'
import {
  containerLabels,
  containerMarks,
  generationMark,
  sandboxLabels,
  type ContainerPlan,
  type Owner,
} from '../marks.ts'
import { idMappings, type IdRange } from './namespaces.ts'
import { logPath, terminationFile, type PodPaths } from '../paths.ts'
import { containerSecurity, sandboxSecurity } from './security.ts'
import { runtimeSignal } from './stop-signal.ts'

export interface SandboxInput {
  readonly pod: Pod
  readonly owner: Owner
  readonly nodeName: string
  readonly attempt: number
  readonly hostname: string
  readonly dns: {
    readonly servers: readonly string[]
    readonly searches: readonly string[]
    readonly options: readonly string[]
  }
  readonly paths: PodPaths
  readonly cgroupParent: string
  readonly userNamespace?: IdRange | undefined
}

/** A Pod's sandbox in the runtime's words. Pure. */
export function sandboxConfig(input: SandboxInput): SandboxConfig {
  const { pod, owner, attempt, dns } = input
  const ref = podRef(pod)
  const overhead = sandboxOverhead(pod)
  return {
    metadata: { name: ref.name, uid: ref.uid, namespace: ref.namespace, attempt },
    // On the machine's network it has the machine's name.
    hostname: pod.spec?.hostNetwork ? '' : input.hostname,
    logDirectory: input.paths.logDir,
    dnsConfig: { servers: dns.servers, searches: dns.searches, options: dns.options },
    portMappings: portMappings(pod),
    // The Pod's own are for those who look into the runtime and for its plugins (the bandwidth that CNI gives, say); they
    // must not pass for ours.
    labels: { ...pod.metadata?.labels, ...sandboxLabels(owner, ref, input.nodeName) },
    annotations: { ...pod.metadata?.annotations, ...generationMark(pod.metadata?.generation ?? 0) },
    linux: {
      cgroupParent: input.cgroupParent,
      sysctls: sysctls(pod),
      securityContext: sandboxSecurity(pod, input.userNamespace),
      resources: sandboxResources(pod),
      ...(overhead && { overhead }),
    },
  }
}

function sysctls({ spec }: Pod): Readonly<Record<string, string>> {
  const stated = spec?.securityContext?.sysctls ?? []
  return Object.fromEntries(stated.map(({ name, value }) => [dottedSysctl(name), value]))
}

/** For the CNI plugins. On the machine's own network a Pod's ports are the machine's as they are. */
function portMappings(pod: Pod): PortMapping[] {
  if (pod.spec?.hostNetwork) return []
  return hostPortsOf(pod).map(({ ip, port, containerPort, protocol }) => ({
    protocol: protocol as PortMapping['protocol'],
    containerPort,
    hostPort: port,
    hostIp: ip === anyAddress ? '' : ip,
  }))
}

export interface ContainerInput {
  readonly pod: Pod
  readonly container: Container
  readonly plan: ContainerPlan
  readonly owner: Owner
  readonly attempt: number
  readonly backoffMs: number
  /** Of the Pod, or of the node that it shares the network with. */
  readonly podIp: string
  readonly image: CriImage
  readonly environment: readonly { readonly key: string; readonly value: string }[]
  readonly volumeMounts: readonly MountConfig[]
  readonly etcHosts: string
  readonly paths: PodPaths
  readonly machine: Machine
  readonly seccompProfiles?: string | undefined
  readonly userNamespace?: IdRange | undefined
  /** Of an ephemeral container: the id of the container that it is to look into. */
  readonly targetContainerId?: string | undefined
}

/** One attempt of a container in the runtime's words. Pure. */
export function containerConfig(input: ContainerInput): ContainerConfig {
  const { pod, container, plan, attempt, backoffMs, podIp } = input
  const variables = new Map(input.environment.map(({ key, value }) => [key, value]))
  const expand = (text: string): string => expandVariables(text, variables)
  return {
    metadata: { name: plan.name, attempt },
    // By the id that was just looked up: the tag may be moved to another image in between.
    image: { image: input.image.id, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map(expand),
    args: (container.args ?? []).map(expand),
    workingDir: container.workingDir ?? '',
    envs: input.environment.map(({ key, value }) => ({ key, value: Buffer.from(value) })),
    mounts: containerMounts(input),
    labels: containerLabels(input.owner, podRef(pod), plan),
    annotations: containerMarks({
      generation: pod.metadata?.generation ?? 0,
      container,
      backoffMs,
      podIp,
      given: givenResources(pod, container),
    }),
    logPath: logPath(plan.name, attempt),
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    ...(container.lifecycle?.stopSignal && { stopSignal: runtimeSignal(container.lifecycle.stopSignal) }),
    linux: {
      resources: containerResources(pod, container, input.machine),
      securityContext: containerSecurity({ ...input, maskedPaths: input.machine.maskedPaths }),
    },
  }
}

function containerMounts({
  container,
  plan,
  attempt,
  paths,
  volumeMounts,
  etcHosts,
  userNamespace,
}: ContainerInput): MountConfig[] {
  const own: MountConfig[] = [
    {
      containerPath: container.terminationMessagePath || '/dev/termination-log',
      hostPath: terminationFile(paths.podDir, plan.name, attempt),
      readonly: false,
      propagation: 'PROPAGATION_PRIVATE',
    },
  ]
  // What the user mounts at /etc/hosts wins, as with kubelet.
  if (!volumeMounts.some(({ containerPath }) => join(containerPath, '.') === '/etc/hosts')) {
    own.push({
      containerPath: '/etc/hosts',
      hostPath: etcHosts,
      readonly: false,
      propagation: 'PROPAGATION_PRIVATE',
    })
  }
  const mounts = [...volumeMounts, ...own]
  if (!userNamespace) return mounts
  // Files keep the owners that they have on disk: the kernel maps them for this mount alone.
  const { uids, gids } = idMappings(userNamespace)
  return mounts.map((mount) => ({ ...mount, uidMappings: uids, gidMappings: gids }))
}

export interface PlannedContainer {
  readonly plan: ContainerPlan
  readonly container: Container
}

/** The Pod's containers in the order of observations: init and sidecars, then main, then ephemeral. */
export function plannedContainers(pod: Pod): PlannedContainer[] {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  return [
    ...initContainers.map((container) => planned(container, isSidecar(container) ? 'sidecar' : 'init')),
    ...containers.map((container) => planned(container, 'main')),
    ...ephemeralContainers.map((container) => planned(container, 'ephemeral')),
  ]
}

function planned(container: Container, kind: ContainerPlan['kind']): PlannedContainer {
  return { container, plan: { name: container.name, kind, image: container.image ?? '' } }
}
