import { explainPrice } from '../billing/explain-price.ts'
import { deployments, replicaSets } from '../kube/resources.ts'
import type { ExplainQuery, ExplainView } from '../console/api/contract.ts'
import type { PoolConfig } from '../config/pool.ts'
import { podSandbox } from '../lifecycle/pod-sandbox.ts'
import { describeHandler } from '../lifecycle/sandbox-finding.ts'
import { SpillwayError } from '../model/errors.ts'
import type { Namespace, Pod } from '../model/kubernetes.ts'
import { keptOffServers } from '../scheduling/burst/at-creation.ts'
import type { ClusterPicture } from '../scheduling/cluster-picture.ts'
import { explainMoveBack } from '../scheduling/decide-move-back.ts'
import { explainPod } from '../scheduling/explain-pod.ts'
import { overflowPicture, refusedPods } from '../scheduling/overflow-picture.ts'
import { foreignSpelling } from '../scheduling/foreign-spelling.ts'
import { usesClaims } from '../scheduling/volumes.ts'
import { withPlacement } from '../scheduling/placement.ts'
import { storedPod } from '../scheduling/stored-pod.ts'
import { admissionInForce } from './admission-in-force.ts'
import type { BackendStack } from './backend-stack.ts'
import { clusterObjects } from './cluster-objects.ts'
import type { House } from './house.ts'
import { moveBackPolicy, pricePerHour } from './move-back-tasks.ts'
import { classOf, overflowRules } from './overflow-rules.ts'

/** Answers `spillway explain`, from the same stores and by the same rules as overflow. */
export function explainer(
  house: House,
  stacks: readonly BackendStack[],
): (query: ExplainQuery, signal: AbortSignal) => Promise<ExplainView> {
  const { books, config, cluster, world } = house
  return async (query, signal) => {
    // A Pod that is there is as it is stored; of one that is not, an older API server may drop something.
    const { pod: written, dropped } =
      'pod' in query
        ? storedPod(query.pod, cluster.serverVersion)
        : { pod: findPod(house, query), dropped: [] }
    // A Pod that is there has been through admission; one that is not goes through it first.
    const home = cluster.namespaces.get({ name: written.metadata?.namespace ?? '' })
    const pod = 'pod' in query ? await admitted(house, written, home, signal) : written
    const { namespace = 'default', name = '' } = pod.metadata ?? {}
    const allPools = house.pools.configs()
    const pools = allPools.filter(({ name: pool }) => query.pool === undefined || pool === query.pool)
    if (query.pool !== undefined && pools.length === 0) {
      const known = allPools.map(({ name: pool }) => pool).join(', ')
      throw new SpillwayError('NotFound', `pool: found "${query.pool}"; allowed: ${known}`)
    }
    const every = overflowRules(house, stacks)
    const rules = { ...every, ...(query.pool !== undefined && { only: query.pool }) }
    const isPlaced = usesClaims(pod)
    const objects = {
      ...clusterObjects(house),
      ...(isPlaced && { volumes: await house.volumes.read(signal) }),
    }
    const nowWallMs = world.clock.wallMs()
    const picture = overflowPicture(objects, {
      refused: refusedPods(objects.pods),
      rules,
      nowWallMs,
    })
    const moment = { nowWallMs, nominatedSinceMs: pod.status?.nominatedNodeName ? nowWallMs : undefined }
    return {
      namespace,
      name,
      overflow: config.overflow.enabled,
      ...explainPod(pod, picture, rules, moment),
      ...(dropped.length > 0 && { dropped }),
      movesBack: await movesBack(house, pod, picture, signal),
      sandboxes: sandboxesOf(house, stacks, { pod, pools }),
      foreign: foreignSpelling(pod, home),
      prices: pools.flatMap(({ name, priceBook, purchase }) => {
        const book = books.get(priceBook)
        return book ? [{ pool: name, ...explainPrice(pod, book, nowWallMs, { purchase }) }] : []
      }),
    }
  }
}

function sandboxesOf(
  { cluster }: House,
  stacks: readonly BackendStack[],
  { pod, pools }: { readonly pod: Pod; readonly pools: readonly PoolConfig[] },
): NonNullable<ExplainView['sandboxes']> {
  const className = pod.spec?.runtimeClassName
  const runtimeClass = classOf(pod, cluster)
  return pools.flatMap(({ name: pool, backend, sandbox: choice }) => {
    const capabilities = stacks.find(({ name }) => name === backend)?.backend.capabilities()
    if (!capabilities) return []
    if (className && !runtimeClass) return [{ pool, says: `RuntimeClass "${className}" is not there yet` }]
    const sandbox = podSandbox({ choice, runtimeClass, capabilities })
    return [{ pool, says: sandbox.ok ? describeHandler(sandbox.handler) : `none: ${sandbox.why}` }]
  })
}

/** The Pod as it will be stored, by the admission that is in force. */
async function admitted(
  { cluster, bursts }: House,
  pod: Pod,
  home: Namespace | undefined,
  signal: AbortSignal,
): Promise<Pod> {
  const { placement, always } = await admissionInForce(cluster.api, signal)
  const placed = placement === 'nothing' ? pod : withPlacement(pod, home)
  const { policies } = bursts.facts()
  const namespaces = cluster.namespaces.list()
  return always && policies ? keptOffServers(placed, home, { policies, namespaces }) : placed
}

/** Asks for what is watched only where Pods are moved back. */
async function movesBack(
  house: House,
  pod: Pod,
  picture: ClusterPicture,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { api, pods } = house.cluster
  const namespace = pod.metadata?.namespace ?? ''
  const policy = moveBackPolicy(house)
  const isAsked = pod.spec?.nodeName !== undefined && policy.rulesOf(pod) !== undefined
  const [sets, owners] = isAsked
    ? await Promise.all([
        api.list(replicaSets, { namespace }, signal),
        api.list(deployments, { namespace }, signal),
      ])
    : [{ items: [] }, { items: [] }]
  const view = { picture, pods: pods.list(), replicaSets: sets.items, deployments: owners.items }
  const answer = explainMoveBack(pod, view, policy, house.world.clock.wallMs())
  if (answer !== undefined && house.config.moveBack.enabled && !house.bursts.facts().policies)
    return 'not while burst policies are not known'
  const price = answer && isAsked ? pricePerHour(house, pod) : undefined
  return price === undefined ? answer : `${answer}; it costs ${price} an hour out there`
}

function findPod({ cluster }: House, { namespace, name }: { namespace: string; name: string }): Pod {
  const pod = cluster.pods.get({ namespace, name })
  if (pod) return pod
  throw new SpillwayError('NotFound', `Pod ${namespace}/${name} is not there`)
}
