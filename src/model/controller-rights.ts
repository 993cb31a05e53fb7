import { daemonSetPolicyName, placementPolicyName, webhookConfigurationName } from './words.ts'

/** A rule of a ClusterRole. */
export interface Right {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

const read = ['get', 'list', 'watch']
const certificatesGroup = 'certificates.k8s.io'

/** With `nodeIdentity: csr` (deploy/node-certificates.yaml): certificates of its nodes as clients. */
export const nodeCertificateRights: readonly Right[] = [
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests'], verbs: ['create'] },
  {
    apiGroups: [certificatesGroup],
    resources: ['signers'],
    resourceNames: ['kubernetes.io/kube-apiserver-client-kubelet'],
    verbs: ['approve'],
  },
]

/** What the controller has to be allowed. Secrets, ConfigMaps and tokens are not in it: those belong to the node users. */
export const controllerRights: readonly Right[] = [
  // patch: the toleration that lets a Pod overflow, and the deletion cost that makes it leave first.
  { apiGroups: [''], resources: ['pods'], verbs: [...read, 'patch'] },
  { apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] },
  // Emptying a node; the second only for a pool that is deleted by force, after its drainTimeoutSeconds.
  { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['delete'] },
  // create: of the pools in the configuration file.
  { apiGroups: ['spillway.dev'], resources: ['virtualnodepools'], verbs: [...read, 'create', 'patch'] },
  { apiGroups: ['spillway.dev'], resources: ['virtualnodepools/status'], verbs: ['patch'] },
  { apiGroups: [''], resources: ['nodes'], verbs: [...read, 'create', 'update', 'patch', 'delete'] },
  { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  { apiGroups: [''], resources: ['namespaces', 'services'], verbs: read },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: [...read, 'create', 'update', 'patch', 'delete'],
  },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  {
    apiGroups: ['apps'],
    resources: ['replicasets', 'deployments', 'statefulsets', 'daemonsets'],
    verbs: read,
  },
  { apiGroups: ['batch'], resources: ['jobs'], verbs: read },
  { apiGroups: ['node.k8s.io'], resources: ['runtimeclasses'], verbs: read },
  // Whether Pods of placement virtual are sent out from the start, for explain.
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingadmissionpolicies'],
    resourceNames: [placementPolicyName, daemonSetPolicyName],
    verbs: ['get'],
  },
  // Where there are no policies: our webhooks in the one configuration that people have applied for them. Neither can one
  // be made, nor another be changed.
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingwebhookconfigurations'],
    resourceNames: [webhookConfigurationName],
    verbs: ['get', 'patch'],
  },
  // Who asks a virtual node for logs or exec, and may they.
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  // What the API server checks of a node's serving certificate: our nodes ask for them, and nobody else approves.
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests'], verbs: read },
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests/approval'], verbs: ['patch'] },
  {
    apiGroups: [certificatesGroup],
    resources: ['signers'],
    resourceNames: ['kubernetes.io/kubelet-serving'],
    verbs: ['approve'],
  },
]

/** What moving Pods back takes besides, where it is on (deploy/move-back.yaml). Evictions are only asked about, never made. */
export const moveBackRights: readonly Right[] = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete'] },
  { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
]
