import { join } from 'node:path'
import type { Config } from '../config/load.ts'
import type { Task } from '../control/tasks.ts'
import type { KubeApi } from '../kube/api.ts'
import type { KubeObject, Namespace, Pod } from '../model/kubernetes.ts'
import { placementLabel } from '../model/words.ts'
import { keepOffPatch } from '../scheduling/daemonset-affinity.ts'
import { placementPatch } from '../scheduling/placement.ts'
import type { Mutation } from '../webhook/admission-review.ts'
import { keepWebhooks } from '../webhook/keep-webhooks.ts'
import {
  foreignNamespaceLabels,
  webhookPaths,
  webhookPurposes,
  type WebhookPurpose,
} from '../webhook/webhook-configuration.ts'
import { policiesInForce } from './admission-in-force.ts'
import type { World } from './house.ts'

/** As much of the house as it stands on. */
export interface AdmissionGround {
  readonly config: Pick<Config, 'clusterName' | 'admissionWebhook' | 'stateDir'>
  readonly world: World
  /** The controller's. */
  readonly cluster: { readonly api: KubeApi }
}

/** What admission policies do not do on this cluster, if people have applied deploy/admission-webhook.yaml. */
export function admissionWebhook({ config, world, cluster }: AdmissionGround): Task {
  const { api } = cluster
  const purposes = async (signal: AbortSignal): Promise<ReadonlySet<WebhookPurpose>> => {
    const byPolicy = await policiesInForce(api, signal)
    return new Set(webhookPurposes.filter((purpose) => !byPolicy.has(purpose)))
  }
  return (signal) =>
    keepWebhooks(
      {
        api,
        instance: config.clusterName,
        listen: config.admissionWebhook,
        folder: join(config.stateDir, 'pki'),
        mutations: admissionMutations,
        purposes,
        ...world,
      },
      signal,
    )
}

/** By path. Pure: the API server has looked at the labels itself, so that no store of ours has to be up to date. */
const admissionMutations: ReadonlyMap<string, Mutation> = new Map<string, Mutation>([
  [webhookPaths.ofPod, (object) => placementPatch(object as Pod, undefined)],
  [
    webhookPaths.ofNamespace,
    (object) => placementPatch(object as Pod, namespaceOf(object, { [placementLabel]: 'virtual' })),
  ],
  [
    webhookPaths.ofForeignNamespace,
    (object) => placementPatch(object as Pod, namespaceOf(object, foreignNamespaceLabels)),
  ],
  [webhookPaths.daemonSets, (object) => keepOffPatch(object)],
])

/** The labels of a namespace stand in the webhook's selector: what the API server asks about at its path is in such a one. */
function namespaceOf({ metadata }: KubeObject, labels: Record<string, string>): Namespace {
  return { metadata: { name: metadata?.namespace ?? '', labels } }
}
