import type { KubeObject } from './kubernetes.ts'

declare const podUid: unique symbol

/** `metadata.uid` of a Pod: the only key used past the API cache. Names come back with another Pod behind them. */
export type PodUid = string & { readonly [podUid]: true }

/** The key, with the names that people know the Pod by. */
export interface PodRef {
  readonly uid: PodUid
  readonly namespace: string
  readonly name: string
}

/** Marks a string as a Pod UID. Throws when it is empty: an empty key would match what has no owner. */
export function asPodUid(uid: string): PodUid {
  if (uid === '') throw new Error('a Pod UID is empty')
  return uid as PodUid
}

/** The reference of an object that came from the API server, which always has a UID, a namespace and a name. */
export function podRef(pod: KubeObject): PodRef {
  const { uid, namespace, name } = pod.metadata ?? {}
  if (!uid || !namespace || !name)
    throw new Error('a Pod without uid, namespace or name did not come from an API server')
  return { uid: asPodUid(uid), namespace, name }
}
