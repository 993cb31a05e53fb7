/**
 * The Kubernetes types that we use, type-only. `kubernetes-types` stops at 1.30 and lacks the runtime weight of a
 * client library (times are RFC 3339 strings, as on the wire); what newer versions added and we need is declared here.
 */
import type {
  Container as V130Container,
  ContainerStatus as V130ContainerStatus,
  Lifecycle,
  ConfigMap,
  ContainerState,
  ContainerStateTerminated,
  EphemeralContainer,
  VolumeMountStatus,
  Event as CoreEvent,
  Namespace,
  Node,
  NodeCondition,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod as V130Pod,
  PodCondition as V130PodCondition,
  PodSecurityContext as V130PodSecurityContext,
  PodSpec as V130PodSpec,
  PodStatus as V130PodStatus,
  Probe as V130Probe,
  ResourceRequirements,
  Secret,
  Service,
  Taint,
  Toleration,
  Volume as V130Volume,
} from 'kubernetes-types/core/v1.d.ts'
import type { StorageClass } from 'kubernetes-types/storage/v1.d.ts'
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from 'kubernetes-types/certificates/v1.d.ts'
import type {
  Deployment as V130Deployment,
  DeploymentSpec as V130DeploymentSpec,
  ReplicaSet as V130ReplicaSet,
  ReplicaSetSpec as V130ReplicaSetSpec,
} from 'kubernetes-types/apps/v1.d.ts'
import type { Lease } from 'kubernetes-types/coordination/v1.d.ts'
import type { RuntimeClass } from 'kubernetes-types/node/v1.d.ts'
import type { LabelSelector, ListMeta, ObjectMeta, OwnerReference } from 'kubernetes-types/meta/v1.d.ts'

/** 1.34+: what one container does when it exits, in place of the Pod's policy. */
export interface Container extends V130Container {
  restartPolicyRules?: { action: string; exitCodes?: { operator: string; values: number[] } }[]
  /** The signal is 1.33+. */
  lifecycle?: Lifecycle & { stopSignal?: string }
  livenessProbe?: Probe
  readinessProbe?: Probe
  startupProbe?: Probe
}

/** The mode of gRPC probes is 1.37+. */
export interface Probe extends V130Probe {
  grpc?: V130Probe['grpc'] & { mode?: 'TLS' | 'Plaintext' }
}

export interface ContainerStatus extends V130ContainerStatus {
  /** 1.33+ */
  stopSignal?: string
}

export interface PodSecurityContext extends V130PodSecurityContext {
  /** 1.31+: whether the groups that the image gives to its user count too. Default Merge. */
  supplementalGroupsPolicy?: 'Merge' | 'Strict'
}

type V130Projected = NonNullable<V130Volume['projected']>
type V130Projection = NonNullable<V130Projected['sources']>[number]

export interface VolumeProjection extends V130Projection {
  /** 1.34+ */
  podCertificate?: PodCertificateProjection
}

/** A certificate of the Pod's own, for a key that its node makes. At least one of the paths is given. */
export interface PodCertificateProjection {
  signerName: string
  /** `RSA3072`, `RSA4096`, `ECDSAP256`, `ECDSAP384`, `ECDSAP521` or `ED25519`. */
  keyType: string
  maxExpirationSeconds?: number
  credentialBundlePath?: string
  keyPath?: string
  certificateChainPath?: string
  userAnnotations?: Record<string, string>
}

export interface Volume extends Omit<V130Volume, 'emptyDir' | 'projected'> {
  emptyDir?: NonNullable<V130Volume['emptyDir']> & {
    /** 1.37+ */
    mode?: number
  }
  projected?: Omit<V130Projected, 'sources'> & { sources?: VolumeProjection[] }
  /** 1.31+: the files of an image. */
  image?: { reference?: string; pullPolicy?: string }
}

export interface PodSpec extends Omit<
  V130PodSpec,
  'containers' | 'initContainers' | 'securityContext' | 'volumes'
> {
  containers: Container[]
  initContainers?: Container[]
  securityContext?: PodSecurityContext
  volumes?: Volume[]
  /** 1.34+: requests and limits of the Pod as a whole. */
  resources?: ResourceRequirements
  /** 1.34+ */
  hostnameOverride?: string
}

export interface PodCondition extends V130PodCondition {
  /** 1.33+ */
  observedGeneration?: number
}

export interface PodStatus extends Omit<
  V130PodStatus,
  'conditions' | 'containerStatuses' | 'initContainerStatuses' | 'ephemeralContainerStatuses'
> {
  conditions?: PodCondition[]
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
  /** 1.33+ */
  observedGeneration?: number
  /** 1.35+: what the node has set aside for the Pod as a whole. */
  allocatedResources?: Record<string, string>
  /** 1.35+: what is in effect for the Pod as a whole. */
  resources?: ResourceRequirements
}

export interface Pod extends Omit<V130Pod, 'spec' | 'status'> {
  spec?: PodSpec
  status?: PodStatus
}

export interface PodTemplate {
  metadata?: ObjectMeta
  spec?: PodSpec
}

export interface ReplicaSet extends Omit<V130ReplicaSet, 'spec'> {
  spec?: Omit<V130ReplicaSetSpec, 'template'> & { template?: PodTemplate }
}

export interface Deployment extends Omit<V130Deployment, 'spec'> {
  spec?: Omit<V130DeploymentSpec, 'template'> & { template?: PodTemplate }
}

/** 1.27+, v1 since 1.37. Cluster-scoped. */
export interface ClusterTrustBundle extends KubeObject {
  spec: { signerName?: string; trustBundle: string }
}

/** 1.34+, v1 since 1.37. What a node asks of a signer for one of its Pods. */
export interface PodCertificateRequest extends KubeObject {
  spec: {
    signerName: string
    podName: string
    podUID: string
    serviceAccountName: string
    serviceAccountUID: string
    nodeName: string
    nodeUID: string
    maxExpirationSeconds?: number
    /** DER in base64. Empty but for the public key, and signed by the private one. */
    stubPKCS10Request: string
    unverifiedUserAnnotations?: Record<string, string>
  }
  status?: {
    /** `Issued`, `Denied` or `Failed` */
    conditions?: { type: string; status: string; reason?: string; message?: string }[]
    certificateChain?: string
    beginRefreshAt?: string
    notAfter?: string
  }
}

export interface KubeList<T> {
  metadata: ListMeta
  items: T[]
}

export interface KubeObject {
  apiVersion?: string
  kind?: string
  metadata?: ObjectMeta
}

export type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
  ConfigMap,
  ContainerState,
  ContainerStateTerminated,
  CoreEvent,
  EphemeralContainer,
  VolumeMountStatus,
  LabelSelector,
  Lease,
  Namespace,
  Node,
  NodeCondition,
  ObjectMeta,
  OwnerReference,
  PersistentVolume,
  PersistentVolumeClaim,
  ResourceRequirements,
  RuntimeClass,
  Secret,
  Service,
  StorageClass,
  Taint,
  Toleration,
}
