import {
  alwaysPolicyNames,
  daemonSetPolicyName,
  deletionPolicyName,
  placementPolicyName,
  webhookConfigurationName,
} from './words.ts'

/** A rule of a ClusterRole. */
export interface Right {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

const follow = ['list', 'watch']
const certificatesGroup = 'certificates.k8s.io'

/** With `nodeIdentity: csr` (deploy/node-certificates.yaml): certificates of its nodes as clients. */
export const nodeCertificateRights: readonly Right[] = [
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests'], verbs: ['create', 'get'] },
  {
    apiGroups: [certificatesGroup],
    resources: ['signers'],
    resourceNames: ['kubernetes.io/kube-apiserver-client-kubelet'],
    verbs: ['approve'],
  },
]

/**
 * What the controller has to be allowed, and nothing besides (test/journeys/least-rights.test.ts). Secrets, ConfigMaps and
 * tokens are not in it: those belong to the node users, and so do leases and the statuses of Pods and Nodes.
 */
export const controllerRights: readonly Right[] = [
  // get: whether what runs here and is in no list is really gone. patch: the toleration that lets a Pod overflow, and the
  // deletion cost that makes it leave first.
  { apiGroups: [''], resources: ['pods'], verbs: ['get', ...follow, 'patch'] },
  // Emptying a node, and burst policies that say atCap: Stop; the second only for a pool that is deleted by force, after its drainTimeoutSeconds.
  { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['delete'] },
  // create: of the pools in the configuration file.
  { apiGroups: ['spillway.dev'], resources: ['virtualnodepools'], verbs: [...follow, 'create', 'patch'] },
  { apiGroups: ['spillway.dev'], resources: ['virtualnodepools/status'], verbs: ['patch'] },
  { apiGroups: ['spillway.dev'], resources: ['burstpolicies', 'clusterburstpolicies'], verbs: follow },
  {
    apiGroups: ['spillway.dev'],
    resources: ['burstpolicies/status', 'clusterburstpolicies/status'],
    verbs: ['patch'],
  },
  { apiGroups: [''], resources: ['nodes'], verbs: ['get', ...follow, 'create', 'patch', 'delete'] },
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get', ...follow] },
  { apiGroups: [''], resources: ['services'], verbs: follow },
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  // Where the volumes are of Pods that may go out; asked for when there is the first such Pod.
  { apiGroups: [''], resources: ['persistentvolumeclaims', 'persistentvolumes'], verbs: follow },
  { apiGroups: ['storage.k8s.io'], resources: ['storageclasses'], verbs: follow },
  { apiGroups: ['apps'], resources: ['replicasets', 'deployments'], verbs: follow },
  { apiGroups: ['apps'], resources: ['daemonsets'], verbs: ['list'] },
  { apiGroups: ['node.k8s.io'], resources: ['runtimeclasses'], verbs: follow },
  // Whether Pods of placement virtual, and of burst policies that say Always, are sent out from the start: for explain and check.
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['mutatingadmissionpolicies'],
    resourceNames: [placementPolicyName, daemonSetPolicyName, ...alwaysPolicyNames],
    verbs: ['get'],
  },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingadmissionpolicies'],
    resourceNames: [deletionPolicyName],
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
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests'], verbs: follow },
  { apiGroups: [certificatesGroup], resources: ['certificatesigningrequests/approval'], verbs: ['patch'] },
  {
    apiGroups: [certificatesGroup],
    resources: ['signers'],
    resourceNames: ['kubernetes.io/kubelet-serving'],
    verbs: ['approve'],
  },
]

/** What moving Pods back takes besides, where it is on (deploy/move-back.yaml). Evictions are only asked about, never made. */
export const moveBackRights: readonly Right[] = [{ apiGroups: [''], resources: ['pods'], verbs: ['create'] }]
