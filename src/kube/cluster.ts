import type { Clock } from '../model/clock.ts'
import type { KubeObject, Namespace, Node, Pod, RuntimeClass, Service } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeApi, Resource } from './api.ts'
import { createKubeClient } from './client.ts'
import type { Credentials } from './credentials.ts'
import { reflect } from './reflector.ts'
import { namespaces, nodes, pods, runtimeClasses, selfSubjectReviews, services } from './resources.ts'
import { ObjectStore, type ObjectStoreOptions } from './store.ts'

/** Index of `pods`: by the name of the node that they are bound to. */
export const byNode = 'node'

export interface ClusterOptions {
  readonly credentials: Credentials
  readonly userAgent: string
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random: () => number
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
}

/** One cluster as the controller sees it, with the whole-cluster watches that several rooms share. */
export interface Cluster {
  readonly api: KubeApi & { close(): Promise<void> }
  readonly credentials: Credentials
  /** Of the kube-system namespace: what tells clusters apart for ever. */
  readonly uid: string
  /** `gitVersion`, as in `v1.37.2`. */
  readonly serverVersion: string
  readonly pods: ObjectStore<Pod>
  readonly nodes: ObjectStore<Node>
  readonly namespaces: ObjectStore<Namespace>
  readonly services: ObjectStore<Service>
  readonly runtimeClasses: ObjectStore<RuntimeClass>
  /** The user that we are to the API server. */
  whoAmI(signal: AbortSignal): Promise<string>
  /** Keeps the stores until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>
}

interface SelfSubjectReview extends KubeObject {
  readonly status?: { readonly userInfo?: { readonly username?: string } }
}

/** Rejects with what the API server answers to the first two questions. */
export async function connectCluster(options: ClusterOptions, signal: AbortSignal): Promise<Cluster> {
  const { credentials, clock, log, backoff } = options
  const api = createKubeClient(options)
  const system = await api.get(namespaces, { name: 'kube-system' }, signal)
  const { gitVersion } = JSON.parse(await api.getText('/version', signal)) as { gitVersion: string }
  const runs: ((signal: AbortSignal) => Promise<void>)[] = []
  const follow = <T extends KubeObject>(
    resource: Resource<T>,
    indices?: ObjectStoreOptions<T>['indices'],
  ): ObjectStore<T> => {
    const store = new ObjectStore<T>({ log, ...(indices && { indices }) })
    runs.push((inner) => reflect<T>({ api, resource, selection: {}, store, clock, backoff, log }, inner))
    return store
  }
  return {
    api,
    credentials,
    uid: system.metadata?.uid ?? '',
    serverVersion: gitVersion,
    pods: follow(pods, { [byNode]: ({ spec }) => (spec?.nodeName ? [spec.nodeName] : []) }),
    nodes: follow(nodes),
    namespaces: follow(namespaces),
    services: follow(services),
    runtimeClasses: follow(runtimeClasses),
    whoAmI: async (inner) => {
      const review: SelfSubjectReview = {}
      const { status } = (await api.create(selfSubjectReviews, review, inner)) as SelfSubjectReview
      return status?.userInfo?.username ?? ''
    },
    run: async (inner) => {
      await Promise.all(runs.map((run) => run(inner)))
    },
  }
}
