import type {
  CertificateSigningRequest,
  ClusterTrustBundle,
  ConfigMap,
  CoreEvent,
  Deployment,
  KubeObject,
  Lease,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodCertificateRequest,
  ReplicaSet,
  RuntimeClass,
  Secret,
  Service,
  StorageClass,
} from '../model/kubernetes.ts'
import type { VirtualNodePool } from '../model/virtual-node-pool.ts'
import type { Resource } from './api.ts'

function core<T extends KubeObject>(plural: string, kind: string, namespaced: boolean): Resource<T> {
  return { group: '', version: 'v1', plural, kind, namespaced }
}

function grouped<T extends KubeObject>(
  group: string,
  plural: string,
  kind: string,
  namespaced: boolean,
): Resource<T> {
  return { group, version: 'v1', plural, kind, namespaced }
}

export const pods = core<Pod>('pods', 'Pod', true)
export const nodes = core<Node>('nodes', 'Node', false)
export const namespaces = core<Namespace>('namespaces', 'Namespace', false)
export const services = core<Service>('services', 'Service', true)
export const configMaps = core<ConfigMap>('configmaps', 'ConfigMap', true)
export const secrets = core<Secret>('secrets', 'Secret', true)
export const persistentVolumes = core<PersistentVolume>('persistentvolumes', 'PersistentVolume', false)
export const persistentVolumeClaims = core<PersistentVolumeClaim>(
  'persistentvolumeclaims',
  'PersistentVolumeClaim',
  true,
)
export const events = core<CoreEvent>('events', 'Event', true)
export const serviceAccounts = core<KubeObject>('serviceaccounts', 'ServiceAccount', true)
export const virtualNodePools: Resource<VirtualNodePool> = {
  group: 'spillway.dev',
  version: 'v1alpha1',
  plural: 'virtualnodepools',
  kind: 'VirtualNodePool',
  namespaced: false,
}
export const storageClasses = grouped<StorageClass>('storage.k8s.io', 'storageclasses', 'StorageClass', false)
export const leases = grouped<Lease>('coordination.k8s.io', 'leases', 'Lease', true)
export const runtimeClasses = grouped<RuntimeClass>('node.k8s.io', 'runtimeclasses', 'RuntimeClass', false)
export const certificateSigningRequests = grouped<CertificateSigningRequest>(
  'certificates.k8s.io',
  'certificatesigningrequests',
  'CertificateSigningRequest',
  false,
)
export const podCertificateRequests = grouped<PodCertificateRequest>(
  'certificates.k8s.io',
  'podcertificaterequests',
  'PodCertificateRequest',
  true,
)
export const clusterTrustBundles = grouped<ClusterTrustBundle>(
  'certificates.k8s.io',
  'clustertrustbundles',
  'ClusterTrustBundle',
  false,
)
export const mutatingAdmissionPolicies = grouped<KubeObject>(
  'admissionregistration.k8s.io',
  'mutatingadmissionpolicies',
  'MutatingAdmissionPolicy',
  false,
)
export const validatingAdmissionPolicies = grouped<KubeObject>(
  'admissionregistration.k8s.io',
  'validatingadmissionpolicies',
  'ValidatingAdmissionPolicy',
  false,
)
export const mutatingWebhookConfigurations = grouped<KubeObject>(
  'admissionregistration.k8s.io',
  'mutatingwebhookconfigurations',
  'MutatingWebhookConfiguration',
  false,
)
export const replicaSets = grouped<ReplicaSet>('apps', 'replicasets', 'ReplicaSet', true)
export const deployments = grouped<Deployment>('apps', 'deployments', 'Deployment', true)
export const daemonSets = grouped<KubeObject>('apps', 'daemonsets', 'DaemonSet', true)
export const selfSubjectAccessReviews = grouped<KubeObject>(
  'authorization.k8s.io',
  'selfsubjectaccessreviews',
  'SelfSubjectAccessReview',
  false,
)
export const tokenReviews = grouped<KubeObject>('authentication.k8s.io', 'tokenreviews', 'TokenReview', false)
export const selfSubjectReviews = grouped<KubeObject>(
  'authentication.k8s.io',
  'selfsubjectreviews',
  'SelfSubjectReview',
  false,
)
export const subjectAccessReviews = grouped<KubeObject>(
  'authorization.k8s.io',
  'subjectaccessreviews',
  'SubjectAccessReview',
  false,
)
