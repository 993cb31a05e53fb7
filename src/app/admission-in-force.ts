import type { KubeApi } from '../kube/api.ts'
import {
  mutatingAdmissionPolicies,
  mutatingWebhookConfigurations,
  validatingAdmissionPolicies,
} from '../kube/resources.ts'
import { hasCode } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import {
  alwaysPolicyNames,
  daemonSetPolicyName,
  deletionPolicyName,
  placementPolicyName,
  webhookConfigurationName,
} from '../model/words.ts'
import type { AdmissionInForce, AdmissionMeans } from '../scheduling/check-cluster.ts'
import { purposesIn, webhookPurposes, type WebhookPurpose } from '../webhook/webhook-configuration.ts'

/** By what objects are changed as they are created, if at all; where both are there, the policy is named. */
export async function admissionInForce(api: KubeApi, signal: AbortSignal): Promise<AdmissionInForce> {
  const [byPolicy, always, configuration] = await Promise.all([
    policiesInForce(api, signal),
    Promise.all(alwaysPolicyNames.map((name) => found(api.get(mutatingAdmissionPolicies, { name }, signal)))),
    found(api.get(mutatingWebhookConfigurations, { name: webhookConfigurationName }, signal)),
  ])
  const byWebhook = purposesIn(configuration ?? {})
  const means = (purpose: WebhookPurpose): AdmissionMeans =>
    byPolicy.has(purpose) ? 'policy' : byWebhook.has(purpose) ? 'webhook' : 'nothing'
  return {
    placement: means('placement'),
    daemonSets: means('daemonsets'),
    always: !always.includes(undefined),
  }
}

/** What the admission policies of deploy/admission do that are there; older API servers do not serve the kind at all. */
export async function policiesInForce(
  api: Pick<KubeApi, 'get'>,
  signal: AbortSignal,
): Promise<ReadonlySet<WebhookPurpose>> {
  const names = { placement: placementPolicyName, daemonsets: daemonSetPolicyName } as const
  const there = await Promise.all(
    webhookPurposes.map((purpose) =>
      found(api.get(mutatingAdmissionPolicies, { name: names[purpose] }, signal)),
    ),
  )
  return new Set(webhookPurposes.filter((_, index) => there[index] !== undefined))
}

/** Whether a pool or virtual node with Pods is kept from being deleted. */
export async function deletionsGuarded(api: KubeApi, signal: AbortSignal): Promise<boolean> {
  const policy = api.get(validatingAdmissionPolicies, { name: deletionPolicyName }, signal)
  return (await found(policy)) !== undefined
}

/** Undefined where it is not there, or where we may not look: that right is told of as missing. */
async function found<T extends KubeObject>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (hasCode(error, 'NotFound') || hasCode(error, 'Forbidden')) return undefined
    throw error
  }
}
