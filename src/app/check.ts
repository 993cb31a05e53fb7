import type { CheckView } from '../console/api/contract.ts'
import type { KubeApi } from '../kube/api.ts'
import { daemonSets, selfSubjectAccessReviews } from '../kube/resources.ts'
import { controllerRights, moveBackRights, type Right } from '../model/controller-rights.ts'
import { hasCode } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { checkCluster, type DaemonSet } from '../scheduling/check-cluster.ts'
import { admissionInForce, deletionsGuarded } from './admission-in-force.ts'
import type { BackendStack } from './backend-stack.ts'
import { clusterObjects } from './cluster-objects.ts'
import type { House } from './house.ts'
import { overflowRules } from './overflow-rules.ts'

/** Answers `spillway check`: asks the API server what nobody watches, and looks at the rest in the stores. */
export function checker(
  house: House,
  stacks: readonly BackendStack[],
): (signal: AbortSignal) => Promise<CheckView> {
  const { cluster } = house
  const { api } = cluster
  const extra = house.config.moveBack.enabled ? moveBackRights : []
  return async (signal) => {
    const [admission, guardsDeletions, missingRights, missingMoveBackRights, sets] = await Promise.all([
      admissionInForce(api, signal),
      deletionsGuarded(api, signal),
      rightsMissing(api, controllerRights, signal),
      rightsMissing(api, extra, signal),
      listed(api, signal),
    ])
    const { placement, daemonSets: ofDaemonSets } = admission
    return {
      admission: { placement, daemonSets: ofDaemonSets },
      findings: checkCluster({
        serverVersion: cluster.serverVersion,
        admission,
        missingRights,
        missingMoveBackRights,
        daemonSets: sets,
        pools: overflowRules(house, stacks).pools,
        bursts: house.bursts.facts().policies,
        refusedPools: house.pools.list().filter(({ config }) => !config),
        servesPools: house.pools.areObjects,
        guardsDeletions,
        ...clusterObjects(house),
      }),
    }
  }
}

/** Without the right to list them they are told of as a right that is missing. */
async function listed(api: KubeApi, signal: AbortSignal): Promise<readonly DaemonSet[]> {
  try {
    return (await api.list<DaemonSet>(daemonSets, {}, signal)).items
  } catch (error) {
    if (hasCode(error, 'Forbidden')) return []
    throw error
  }
}

interface AccessReview extends KubeObject {
  readonly spec: { readonly resourceAttributes: Readonly<Record<string, string>> }
  readonly status?: { readonly allowed: boolean }
}

async function rightsMissing(
  api: KubeApi,
  rights: readonly Right[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wanted = rights.flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((path) =>
        resourceNames.flatMap((name) => verbs.map((verb) => ({ group, path, name, verb }))),
      ),
    ),
  )
  const answers = await Promise.all(
    wanted.map(async ({ group, path, name, verb }) => {
      const [resource = '', subresource = ''] = path.split('/')
      const review: AccessReview = {
        spec: { resourceAttributes: { group, resource, subresource, name, verb } },
      }
      const { status } = (await api.create(selfSubjectAccessReviews, review, signal)) as AccessReview
      return status?.allowed ? undefined : [verb, path, name].filter(Boolean).join(' ')
    }),
  )
  return answers.filter((answer) => answer !== undefined)
}
