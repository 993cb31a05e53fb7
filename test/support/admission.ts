import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { admissionWebhook } from '../../src/app/admission-webhook.ts'
import { publishAdmissionPolicies } from '../../src/dev-cluster/admission-policies.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { isAtLeast, findVersion } from '../../src/dev-cluster/version.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts'
import { mutatingWebhookConfigurations, pods } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { KubeObject } from '../../src/model/kubernetes.ts'
import { until } from './until.ts'
import { planeVersion, type TestControlPlane } from './control-plane.ts'
import { partOptions, testClient } from './small-cluster.ts'

export type Means = 'policy' | 'webhook'

/** MutatingAdmissionPolicy is v1, and served by default, since 1.36. */
export const servesPolicies = isAtLeast(findVersion(planeVersion), [1, 36, 0])

/** What the API server under test can be made to do admission by. */
export const servedMeans: readonly Means[] = servesPolicies ? ['policy', 'webhook'] : ['webhook']

/** What people apply so that Spillway's webhooks are asked. */
export async function applyAdmissionWebhook(admin: KubeApi, signal: AbortSignal): Promise<void> {
  const file = join(import.meta.dirname, '../../deploy/admission-webhook.yaml')
  const object = parse(await readFile(file, 'utf8')) as KubeObject
  await admin.create(mutatingWebhookConfigurations, object, signal)
}

/**
 * Puts admission into force as people do: by applying the policies, or the configuration that Spillway then writes its
 * webhooks into, with the rights of its own. Until the signal is aborted.
 */
export async function startAdmission(
  means: Means,
  { plane, admin }: { readonly plane: TestControlPlane; readonly admin: KubeApi },
  signal: AbortSignal,
): Promise<void> {
  if (means === 'policy') return await publishAdmissionPolicies(admin, signal)
  await applyAdmissionWebhook(admin, signal)
  const { spillway, stateDir } = plane.controlPlane
  const environment = {}
  const credentials = await loadKubeconfig(
    { path: spillway.kubeconfig, environment, clock: systemClock },
    signal,
  )
  const api = testClient(credentials, 'spillway (webhook)')
  signal.addEventListener('abort', () => void api.close(), { once: true })
  const [port = 0] = await findFreePorts(1)
  const config = { clusterName: 'journey', stateDir, admissionWebhook: { address: '127.0.0.1', port } }
  void admissionWebhook({ config, cluster: { api }, world: { ...partOptions, environment } })(signal)
}

/** Resolves once a Pod of placement virtual is sent out as it is made: the API server learns of admission by a watch. */
export async function whenAdmissionInForce(admin: KubeApi, signal: AbortSignal): Promise<void> {
  await until('admission is in force', () => isSentOut(admin, signal), signal)
}

/** Resolves once it is not any more. */
export async function whenAdmissionOver(admin: KubeApi, signal: AbortSignal): Promise<void> {
  await until('admission is over', async () => !(await isSentOut(admin, signal)), signal)
}

async function isSentOut(admin: KubeApi, signal: AbortSignal): Promise<boolean> {
  const namespace = 'default'
  const pod = await admin.create(
    pods,
    {
      metadata: { namespace, generateName: 'probe-', labels: { 'spillway.dev/placement': 'virtual' } },
      spec: {
        // No scheduler looks at it.
        schedulingGates: [{ name: 'example.com/never' }],
        containers: [{ name: 'main', image: 'registry.k8s.io/pause:3.10.2' }],
      },
    },
    signal,
  )
  await admin.delete(pods, { namespace, name: pod.metadata?.name ?? '' }, { graceSeconds: 0 }, signal)
  return pod.spec?.nodeSelector?.['type'] === 'virtual-kubelet'
}
