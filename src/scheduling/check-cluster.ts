import { nodeMatches } from '../lifecycle/node-affinity.ts'
import { untoleratedTaints } from '../lifecycle/tolerations.ts'
import type { KubeObject, Namespace, Node, Pod, PodSpec, Service } from '../model/kubernetes.ts'
import { isPlacement, placementLabel, placements } from '../model/words.ts'
import type { BurstPolicy } from './burst/burst-policy.ts'
import { checkNamespaceBudgets } from './burst/check-namespace-budgets.ts'
import { checkBurstPolicies } from './check-burst-policies.ts'
import { isOver, poolOf } from './cluster-picture.ts'
import { foreignSpelling } from './foreign-spelling.ts'
import type { OverflowPool } from './decide-overflow.ts'
import { serviceWithLocalTraffic } from './local-traffic.ts'
import { eligibility } from './unschedulable.ts'

/** Something on the cluster that will not work with virtual nodes, or not as people may expect. */
export interface Finding {
  /** `problem`: something is broken or will be; `note`: it is as it is, and may surprise. */
  readonly level: 'problem' | 'note'
  readonly finding: string
  /** What to do about it: a command where one does it. */
  readonly remedy: string
}

export interface DaemonSet extends KubeObject {
  readonly spec?: { readonly template?: { readonly metadata?: Pod['metadata']; readonly spec?: PodSpec } }
}

/**
 * - `policy`: an admission policy of deploy/admission, evaluated by the API server
 * - `webhook`: a webhook that Spillway serves
 */
export type AdmissionMeans = 'policy' | 'webhook' | 'nothing'

/** By what Pods of placement `virtual` are sent out from the start, and DaemonSets are kept off virtual nodes. */
export interface AdmissionInForce {
  readonly placement: AdmissionMeans
  readonly daemonSets: AdmissionMeans
  /** Whether Pods of burst policies that say Always are kept off servers from the start; a webhook does not do that. */
  readonly always: boolean
}

export interface ClusterFacts {
  /** `gitVersion`, as in `v1.37.2`. */
  readonly serverVersion: string
  readonly admission: AdmissionInForce
  /** As in `patch pods`. */
  readonly missingRights: readonly string[]
  /** Of those that moving back takes besides; none while it is off. */
  readonly missingMoveBackRights: readonly string[]
  readonly nodes: readonly Node[]
  readonly pods: readonly Pod[]
  readonly namespaces: readonly Namespace[]
  readonly services: readonly Service[]
  readonly daemonSets: readonly DaemonSet[]
  readonly pools: readonly OverflowPool[]
  /** Pools that cannot be taken as they are, each with why not. */
  readonly refusedPools: readonly { readonly name: string; readonly problems: readonly string[] }[]
  /** Whether the cluster serves VirtualNodePools. */
  readonly servesPools: boolean
  /** Whether a pool or node with Pods is kept from being deleted. */
  readonly guardsDeletions: boolean
  /** Undefined: not known yet. */
  readonly bursts: readonly BurstPolicy[] | undefined
}

/** All findings, problems first. Pure. */
export function checkCluster(facts: ClusterFacts): readonly Finding[] {
  const findings = [
    ...rights(facts),
    ...nodes(facts),
    ...pools(facts),
    ...version(facts),
    ...admission(facts),
    ...daemonSets(facts),
    ...labels(facts),
    ...localTraffic(facts),
    ...unfitPods(facts),
    ...checkBurstPolicies(facts),
    ...checkNamespaceBudgets(facts.namespaces),
    ...foreignWords(facts),
  ]
  return findings.sort((a, b) => Number(a.level === 'note') - Number(b.level === 'note'))
}

function rights({ missingRights, missingMoveBackRights }: ClusterFacts): readonly Finding[] {
  const missing = (list: readonly string[], file: string): readonly Finding[] => {
    const finding = `the controller may not ${list.join(', ')}`
    return list.length === 0 ? [] : [{ level: 'problem', finding, remedy: `kubectl apply -f deploy/${file}` }]
  }
  return [...missing(missingRights, 'rbac.yaml'), ...missing(missingMoveBackRights, 'move-back.yaml')]
}

function nodes({ nodes: all }: ClusterFacts): readonly Finding[] {
  const virtual = all.filter((node) => poolOf(node) !== undefined)
  const lost = virtual.filter((node) => !isReady(node))
  const none: Finding = {
    level: 'problem',
    finding: 'no virtual node is registered',
    remedy: 'spillway status tells what keeps them from it',
  }
  return [
    ...(virtual.length === 0 ? [none] : []),
    ...lost.map((node): Finding => {
      const why = node.status?.conditions?.find(({ type }) => type === 'Ready')?.message ?? 'it says nothing'
      const remedy = `kubectl describe node ${node.metadata?.name}`
      return { level: 'problem', finding: `virtual node ${node.metadata?.name} is not ready: ${why}`, remedy }
    }),
  ]
}

function pools({ refusedPools, servesPools, guardsDeletions }: ClusterFacts): readonly Finding[] {
  const refused = refusedPools.map(({ name, problems }): Finding => {
    const finding = `pool ${name} cannot be taken: ${problems.join('; ')}`
    return { level: 'problem', finding, remedy: `kubectl edit vnp ${name}, or the configuration file` }
  })
  const unserved = 'pools stand in the configuration file only: this cluster serves no VirtualNodePools'
  const unguarded = 'a pool or virtual node is deleted although Pods run there'
  return [
    ...refused,
    ...(servesPools ? [] : [note(unserved, 'kubectl apply -f deploy/crds')]),
    ...(guardsDeletions ? [] : [note(unguarded, 'kubectl apply -f deploy/admission/deletions.yaml')]),
  ]
}

const oldestMinor = 30
const policyMinor = 36

function version({ serverVersion }: ClusterFacts): readonly Finding[] {
  if (minorOf(serverVersion) >= oldestMinor) return []
  const finding = `Kubernetes ${serverVersion} is older than 1.${oldestMinor}, with which nobody has tried this`
  return [{ level: 'problem', finding, remedy: 'upgrade the cluster' }]
}

function admission({
  serverVersion,
  admission: { placement, daemonSets },
}: ClusterFacts): readonly Finding[] {
  const label = `label ${placementLabel}: virtual counts only once no server has room`
  const sets = 'DaemonSets that tolerate everything are not kept off virtual nodes'
  return [
    ...byWebhook(serverVersion, { placement, daemonSets }),
    ...(placement === 'nothing' ? [note(label, toApply(serverVersion, 'placement'))] : []),
    ...(daemonSets === 'nothing' ? [note(sets, toApply(serverVersion, 'daemonsets'))] : []),
  ]
}

function toApply(serverVersion: string, policy: string): string {
  const file = servesPolicies(serverVersion)
    ? `deploy/admission/${policy}.yaml`
    : 'deploy/admission-webhook.yaml'
  return `kubectl apply -f ${file}`
}

/** A webhook is the second choice: while Spillway is down it does nothing. */
function byWebhook(
  serverVersion: string,
  { placement, daemonSets }: Omit<AdmissionInForce, 'always'>,
): readonly Finding[] {
  if (placement !== 'webhook' && daemonSets !== 'webhook') return []
  const finding =
    'Pods of placement virtual and DaemonSets that are made while Spillway is down are missed by its admission webhook'
  const remedy = servesPolicies(serverVersion)
    ? 'kubectl apply -f deploy/admission, which takes its place'
    : `nothing before Kubernetes 1.${policyMinor}; a Pod that was missed has event PlacementMissed`
  return [note(finding, remedy)]
}

function servesPolicies(serverVersion: string): boolean {
  return minorOf(serverVersion) >= policyMinor
}

/** One Pod that never becomes available on a virtual node holds up its rolling update everywhere. */
function daemonSets({
  daemonSets: all,
  nodes: known,
  admission: { daemonSets: means },
}: ClusterFacts): readonly Finding[] {
  const virtual = known.filter((node) => poolOf(node) !== undefined)
  return all
    .filter(({ spec }) => {
      const pod: Pod = { spec: spec?.template?.spec ?? { containers: [] } }
      return virtual.some((node) => untoleratedTaints(pod, node).length === 0 && nodeMatches(pod, node))
    })
    .map(({ metadata }) => {
      const { namespace, name } = metadata ?? {}
      const finding = `DaemonSet ${namespace}/${name} wants a Pod on virtual nodes, and its updates will wait for that`
      const remedy =
        means !== 'nothing'
          ? `kubectl -n ${namespace} rollout restart daemonset/${name}`
          : `add type NotIn [virtual-kubelet] to the node affinity of daemonset/${name} in ${namespace}`
      return { level: 'problem', finding, remedy }
    })
}

function labels({ namespaces, pods }: ClusterFacts): readonly Finding[] {
  const wrong = ({ metadata }: KubeObject): string | undefined => {
    const said = metadata?.labels?.[placementLabel]
    return said === undefined || isPlacement(said) ? undefined : said
  }
  const named = (kind: string, object: KubeObject): string =>
    [kind, [object.metadata?.namespace, object.metadata?.name].filter(Boolean).join('/')].join(' ')
  const all = [
    ...namespaces.map((one) => ({ who: named('Namespace', one), said: wrong(one) })),
    ...pods.map((one) => ({ who: named('Pod', one), said: wrong(one) })),
  ]
  return all.flatMap(({ who, said }): Finding[] =>
    said === undefined
      ? []
      : [
          {
            level: 'problem',
            finding: `${who}: label ${placementLabel} is "${said}", and keeps on servers what has it`,
            remedy: `allowed: ${placements.join(', ')}`,
          },
        ],
  )
}

function localTraffic({ pods, services }: ClusterFacts): readonly Finding[] {
  return services.flatMap((service) => {
    const { namespace, name } = service.metadata ?? {}
    const selected = pods.filter((pod) => !isOver(pod) && serviceWithLocalTraffic(pod, [service]))
    if (selected.length === 0) return []
    const finding = `Service ${namespace}/${name} has externalTrafficPolicy Local: its ${count(selected.length)} will not go out`
    return [note(finding, 'set it to Cluster where the client’s address is not needed')]
  })
}

/** What keeps Pods that may go from being taken by any pool, by reason. */
function unfitPods({ pods, namespaces, pools }: ClusterFacts): readonly Finding[] {
  const homes = new Map(namespaces.map((one) => [one.metadata?.name, one]))
  const reasons = new Map<string, string[]>()
  for (const pod of pods) {
    const home = homes.get(pod.metadata?.namespace)
    if (isOver(pod) || eligibility(pod, home).kind === 'never') continue
    const refusals = pools.map((pool) => pool.refuses(pod))
    const [reason] = refusals
    if (reason === undefined || refusals.includes(undefined)) continue
    reasons.set(reason, [...(reasons.get(reason) ?? []), `${pod.metadata?.namespace}/${pod.metadata?.name}`])
  }
  return [...reasons].map(([reason, names]) =>
    note(
      `${count(names.length)} would not be let out: ${reason} (${someOf(names)})`,
      'they stay on servers; nothing has to be done for that',
    ),
  )
}

/** What people wrote for another product and do not get here, by product. */
function foreignWords({ pods, namespaces }: ClusterFacts): readonly Finding[] {
  const homes = new Map(namespaces.map((one) => [one.metadata?.name, one]))
  const namesByProduct = new Map<string, string[]>()
  for (const pod of pods) {
    if (isOver(pod)) continue
    const lost = foreignSpelling(pod, homes.get(pod.metadata?.namespace)).filter(
      ({ becomes }) => becomes === 'lost',
    )
    for (const product of new Set(lost.map((line) => line.product))) {
      const name = `${pod.metadata?.namespace}/${pod.metadata?.name}`
      namesByProduct.set(product, [...(namesByProduct.get(product) ?? []), name])
    }
  }
  return [...namesByProduct].map(([product, names]) => {
    const finding = `${count(names.length)} asked for what ${product} has and virtual nodes here have not`
    return note(`${finding} (${someOf(names)})`, 'spillway explain POD tells what is lost, and what to write')
  })
}

function someOf(names: readonly string[]): string {
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}`
}

function note(finding: string, remedy: string): Finding {
  return { level: 'note', finding, remedy }
}

function count(pods: number): string {
  return pods === 1 ? '1 Pod' : `${pods} Pods`
}

function isReady({ status }: Node): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True'
}

function minorOf(gitVersion: string): number {
  return Number(/^v1\.(\d+)/.exec(gitVersion)?.[1] ?? Number.POSITIVE_INFINITY)
}
