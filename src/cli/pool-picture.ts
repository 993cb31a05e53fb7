import type { KubeApi } from '../kube/api.ts'
import { events, nodes, pods, virtualNodePools } from '../kube/resources.ts'
import { isTerminal } from '../lifecycle/decide.ts'
import { parseTimeMs } from '../model/clock.ts'
import { hasCode, SpillwayError } from '../model/errors.ts'
import type { Node } from '../model/kubernetes.ts'
import type { VirtualNodePool } from '../model/virtual-node-pool.ts'
import { parseProviderId } from '../model/virtual-node-name.ts'
import { retiringAnnotation } from '../model/words.ts'

/** A pool as people are shown it, here and with `--json`. */
export interface PoolPicture {
  readonly name: string
  readonly backend: string
  readonly priceBook: string
  /** `on-demand` or `spot`. */
  readonly purchase: string
  readonly desired: number
  readonly nodes: number
  readonly ready: number
  readonly pods: number
  readonly state: string
  readonly message: string
  readonly createdMs: number
}

export interface PoolNodePicture {
  readonly name: string
  readonly status: string
  readonly pods: number
  readonly podLimit: number
  readonly cpu: string
  readonly memory: string
}

export interface PoolEventPicture {
  readonly atMs: number
  readonly type: string
  readonly reason: string
  readonly message: string
}

export interface WholePool extends PoolPicture {
  readonly nodeList: readonly PoolNodePicture[]
  readonly events: readonly PoolEventPicture[]
}

type Reader = Pick<KubeApi, 'get' | 'list'>

/** Rejects with NotFound where the cluster serves no VirtualNodePools. */
export async function listPools(api: Reader, signal: AbortSignal): Promise<readonly PoolPicture[]> {
  try {
    return (await api.list(virtualNodePools, {}, signal)).items.map(poolPicture)
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
    throw new SpillwayError(
      'NotFound',
      'this cluster serves no VirtualNodePools: kubectl apply -f deploy/crds',
      { cause: error },
    )
  }
}

/** Rejects with NotFound, naming those that there are. */
export async function readPool(api: Reader, name: string, signal: AbortSignal): Promise<VirtualNodePool> {
  try {
    return await api.get(virtualNodePools, { name }, signal)
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
    const known = (await listPools(api, signal)).map((pool) => pool.name).join(', ')
    throw new SpillwayError('NotFound', `pool: found "${name}"; there are: ${known || 'none'}`, {
      cause: error,
    })
  }
}

/** With its nodes and what has been told of it. */
export async function wholePool(api: Reader, name: string, signal: AbortSignal): Promise<WholePool> {
  const pool = await readPool(api, name, signal)
  const [nodeList, podList, told] = await Promise.all([
    api.list(nodes, {}, signal),
    api.list(pods, {}, signal),
    api.list(
      events,
      { namespace: 'default', fieldSelector: `involvedObject.uid=${pool.metadata?.uid ?? ''}` },
      signal,
    ),
  ])
  const mine = nodeList.items.filter(({ spec }) => parseProviderId(spec?.providerID)?.pool === name)
  const running = podList.items.filter((pod) => !isTerminal(pod))
  const podsOn = (node: string): number => running.filter(({ spec }) => spec?.nodeName === node).length
  return {
    ...poolPicture(pool),
    nodeList: mine
      .map((node) => nodePicture(node, podsOn(node.metadata?.name ?? '')))
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true })),
    events: told.items
      .map(({ lastTimestamp, type, reason, message }) => ({
        atMs: lastTimestamp ? parseTimeMs(lastTimestamp) : 0,
        type: type ?? '',
        reason: reason ?? '',
        message: message ?? '',
      }))
      .sort((a, b) => a.atMs - b.atMs),
  }
}

function poolPicture({ metadata, spec, status }: VirtualNodePool): PoolPicture {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  const refused = status?.conditions?.find(({ type, status: is }) => type === 'Accepted' && is === 'False')
  const text = (field: string): string => {
    const value = spec?.[field]
    return typeof value === 'string' ? value : ''
  }
  return {
    name: metadata?.name ?? '',
    backend: text('backend'),
    priceBook: text('priceBook'),
    purchase: text('purchase') || 'on-demand',
    desired: Number(spec?.['replicas'] ?? 1),
    nodes: status?.replicas ?? 0,
    ready: status?.readyReplicas ?? 0,
    pods: status?.pods ?? 0,
    state: ready?.reason ?? 'Unseen',
    message: refused?.message ?? ready?.message ?? 'no Spillway has looked at it yet',
    createdMs: metadata?.creationTimestamp ? parseTimeMs(metadata.creationTimestamp) : 0,
  }
}

function nodePicture({ metadata, spec, status }: Node, podCount: number): PoolNodePicture {
  const ready = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
  const words = [
    ready ? 'Ready' : 'NotReady',
    spec?.unschedulable && 'SchedulingDisabled',
    metadata?.annotations?.[retiringAnnotation] === 'true' && 'Retiring',
  ]
  const offered = status?.allocatable ?? {}
  return {
    name: metadata?.name ?? '',
    status: words.filter(Boolean).join(','),
    pods: podCount,
    podLimit: Number(offered['pods'] ?? 0),
    cpu: offered['cpu'] ?? '',
    memory: offered['memory'] ?? '',
  }
}
