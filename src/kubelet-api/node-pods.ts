import { SpillwayError } from '../model/errors.ts'
import type { ContainerStatus, Pod } from '../model/kubernetes.ts'
import type { PodPath } from './route.ts'

/** The Pods bound to this Node, as the API server last told. */
export interface NodePods {
  find(namespace: string, name: string): Pod | undefined
  list(): readonly Pod[]
}

/** NotFound, in kubelet's words: no Pod of that name, or not the one that was meant. */
export function findPod(pods: NodePods, { namespace, name, uid }: PodPath): Pod {
  const pod = pods.find(namespace, name)
  if (!pod) throw new SpillwayError('NotFound', 'pod does not exist')
  if (uid !== undefined && pod.metadata?.uid !== uid) throw new SpillwayError('NotFound', 'pod not found')
  return pod
}

/** The container of that name, of whichever kind. */
export function containerOf({ spec }: Pod, name: string): { readonly tty?: boolean } | undefined {
  const all = [
    ...(spec?.containers ?? []),
    ...(spec?.initContainers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ]
  return all.find((container) => container.name === name)
}

function statusesOf({ status }: Pod): ContainerStatus[] {
  return [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ]
}

/** The image and the runtime's id of a container, by its Pod's status; empty where that does not say. */
export function identityIn(
  pods: NodePods,
  { namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: string },
  container: string,
): { readonly image: string; readonly id: string } {
  const pod = pods.find(namespace, name)
  const status =
    pod?.metadata?.uid === uid ? statusesOf(pod).find((one) => one.name === container) : undefined
  return { image: status?.image ?? '', id: (status?.containerID ?? '').replace(/^.*:\/\//, '') }
}

/** What of them runs, by their status. */
export function runningCounts(pods: readonly Pod[]): { readonly pods: number; readonly containers: number } {
  const counts = pods.map((pod) => statusesOf(pod).filter(({ state }) => state?.running).length)
  return {
    pods: counts.filter((count) => count > 0).length,
    containers: counts.reduce((total, count) => total + count, 0),
  }
}
