import { createHash } from 'node:crypto'
import { labelsMatch } from '../../../lifecycle/label-selector.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { ClusterTrustBundle, VolumeProjection } from '../../../model/kubernetes.ts'
import { readCertificates, writeCertificates } from './pem-certificates.ts'

export type TrustBundleProjection = NonNullable<VolumeProjection['clusterTrustBundle']>

/**
 * The certificates that a projection selects out of all bundles, each once, bare. NotFound, in kubelet's words: nothing
 * is selected, and that is not optional.
 */
export function trustAnchors(
  projection: TrustBundleProjection,
  bundles: readonly ClusterTrustBundle[],
  podUid: string,
): Buffer {
  const selected = select(projection, bundles)
  const anchors = selected.flatMap(({ spec }) => readCertificates(spec.trustBundle))
  const byRank = new Map(anchors.map((der) => [rank(der, podUid), der]))
  return writeCertificates([...byRank].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, der]) => der))
}

/**
 * kubelet shuffles, so that nobody comes to rely on the order. An order of each Pod's own does that too, and a file
 * that is written again is still the same.
 */
function rank(der: Buffer, podUid: string): string {
  return createHash('sha256').update(podUid).update(der).digest('hex')
}

function select(
  { name, signerName, labelSelector, optional }: TrustBundleProjection,
  bundles: readonly ClusterTrustBundle[],
): readonly ClusterTrustBundle[] {
  if (name !== undefined) {
    const named = bundles.filter(({ metadata }) => metadata?.name === name)
    if (named.length > 0 || optional) return named
    throw new SpillwayError(
      'NotFound',
      `while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io "${name}" not found`,
    )
  }
  if (signerName === undefined) {
    throw new SpillwayError(
      'Rejected',
      'ClusterTrustBundle projection requires either name or signerName to be set',
    )
  }
  const signed = bundles.filter(
    ({ metadata, spec }) => spec.signerName === signerName && labelsMatch(labelSelector, metadata?.labels),
  )
  if (signed.length > 0 || optional) return signed
  throw new SpillwayError(
    'NotFound',
    'combination of signerName and labelSelector matched zero ClusterTrustBundles',
  )
}
