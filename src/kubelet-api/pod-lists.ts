import type { Backend } from '../backends/backend.ts'
import type { Pod } from '../model/kubernetes.ts'

/** `v1.PodList` of `/pods` and `/runningpods/`. */
export function podList(items: readonly Pod[]): object {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items }
}

/** The Pods that the backend runs for the node: as little of each as the runtime knows, which is what kubelet tells. */
export async function runningPods(
  backend: Pick<Backend, 'list'>,
  nodeName: string,
  signal: AbortSignal,
): Promise<Pod[]> {
  const observed = await backend.list(signal)
  return observed
    .filter((pod) => pod.nodeName === nodeName && pod.phase !== 'stopped')
    .map(({ uid, namespace, name, containers }) => ({
      metadata: { uid, namespace, name },
      spec: {
        containers: containers
          .filter(({ state }) => state.kind === 'running')
          .map((container) => ({ name: container.name, image: container.image })),
      },
    }))
}
