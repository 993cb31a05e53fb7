/** What a certificate is for, as the cluster's signers know it. */
export interface CertificatePurpose {
  readonly signerName: string
  /** For keys on elliptic curves: with RSA there would be `key encipherment` too. */
  readonly usages: readonly string[]
}

/** With which a node's API is served. */
export const kubeletServing: CertificatePurpose = {
  signerName: 'kubernetes.io/kubelet-serving',
  usages: ['digital signature', 'server auth'],
}

/** With which a node speaks to the API server. */
export const kubeletClient: CertificatePurpose = {
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
  usages: ['digital signature', 'client auth'],
}

/** The user that a node is. */
export function nodeUser(nodeName: string): string {
  return `system:node:${nodeName}`
}

/** The name behind `system:node:`; undefined for other users. */
export function nodeOfUser(user: string | undefined): string | undefined {
  return user?.startsWith('system:node:') ? user.slice('system:node:'.length) : undefined
}

export const nodesGroup = 'system:nodes'
