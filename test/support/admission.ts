import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { admissionWebhook } from '../../src/app/admission-webhook.ts'
import { publishAdmissionPolicies } from '../../src/dev-cluster/admission-policies.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { isAtLeast, findVersion } from '../../src/dev-cluster/version.ts'
import type { KubeApi, Resource } from '../../src/kube/api.ts'
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts'
import { mutatingAdmissionPolicies, mutatingWebhookConfigurations, pods } from '../../src/kube/resources.ts'
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

/** Of deploy/admission what the API server under test serves, and the webhook in place of the rest, as people apply them. */
export async function applyAdmission(admin: KubeApi, signal: AbortSignal): Promise<void> {
  if (servesPolicies) return await publishAdmissionPolicies(admin, signal)
  await apply(admin, 'admission/deletions.yaml', signal)
  await applyAdmissionWebhook(admin, signal)
}

/** What people apply so that Spillway's webhooks are asked. */
export async function applyAdmissionWebhook(admin: KubeApi, signal: AbortSignal): Promise<void> {
  await apply(admin, 'admission-webhook.yaml', signal)
}

const kinds = new Map<string, Resource<KubeObject>>(
  [
    mutatingWebhookConfigurations,
    {
      ...mutatingAdmissionPolicies,
      kind: 'ValidatingAdmissionPolicy',
      plural: 'validatingadmissionpolicies',
    },
    {
      ...mutatingAdmissionPolicies,
      kind: 'ValidatingAdmissionPolicyBinding',
      plural: 'validatingadmissionpolicybindings',
    },
  ].map((resource) => [resource.kind, resource]),
)

async function apply(admin: KubeApi, path: string, signal: AbortSignal): Promise<void> {
  const text = await readFile(join(import.meta.dirname, '../../deploy', path), 'utf8')
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubeObject
    const resource = kinds.get(object.kind ?? '')
    if (!resource) throw new Error(`${path} has an object of an unexpected kind: ${object.kind}`)
    await admin.create(resource, object, signal)
  }
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
