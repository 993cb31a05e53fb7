import { runController } from '../../control/controller.ts'
import { defaultBackoff, jitteredBackoff } from '../../control/backoff.ts'
import { KeyQueue } from '../../control/queue.ts'
import { runTasks } from '../../control/tasks.ts'
import type { KubeApi } from '../../kube/api.ts'
import { reflect } from '../../kube/reflector.ts'
import { certificateSigningRequests } from '../../kube/resources.ts'
import { ObjectStore } from '../../kube/store.ts'
import { kubeTime, type Clock } from '../../model/clock.ts'
import { hasCode } from '../../model/errors.ts'
import type { CertificateSigningRequest } from '../../model/kubernetes.ts'
import type { Log } from '../../telemetry/log.ts'
import { decideApproval, type Approval, type ApprovalRules } from './decide-approval.ts'
import type { CertificatePurpose } from './purpose.ts'
import { readSigningRequest } from './signing-request.ts'

export interface ApproveCertificatesOptions {
  /** The controller's: it may approve for these signers. */
  readonly api: KubeApi
  readonly purpose: CertificatePurpose
  readonly rules: ApprovalRules
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/**
 * Approves what our nodes ask of a signer, and denies what others ask in their names, until the signal is aborted.
 * Nobody else does: kube-controller-manager signs serving certificates of nodes, but does not judge who may have one.
 */
export async function approveCertificates(
  options: ApproveCertificatesOptions,
  signal: AbortSignal,
): Promise<void> {
  const { api, purpose, clock, random, log } = options
  const store = new ObjectStore<CertificateSigningRequest>({ log })
  const queue = new KeyQueue({ clock, concurrency: 1 })
  store.subscribe(({ after }) => {
    if (after?.metadata?.name) queue.add(after.metadata.name)
  })
  const reconcile = async (name: string, inner: AbortSignal): Promise<void> => {
    const csr = store.get({ name })
    if (csr) await judge(csr, options, inner)
  }
  const selection = { fieldSelector: `spec.signerName=${purpose.signerName}` }
  const backoff = jitteredBackoff(defaultBackoff, random)
  await runTasks(
    {
      requests: (inner) =>
        reflect({ api, resource: certificateSigningRequests, selection, store, clock, backoff, log }, inner),
      approval: (inner) =>
        runController({ name: 'certificates', queue, reconcile, clock, random, log }, inner),
    },
    signal,
  )
}

async function judge(
  csr: CertificateSigningRequest,
  { api, rules, clock, log }: ApproveCertificatesOptions,
  signal: AbortSignal,
): Promise<void> {
  const stated = await readSigningRequest(Buffer.from(csr.spec.request, 'base64').toString())
  const approval = decideApproval(csr, stated, rules)
  if (approval.kind === 'leave') return
  const name = csr.metadata?.name ?? ''
  const body = {
    // Two that judge at once must not both write.
    metadata: { resourceVersion: csr.metadata?.resourceVersion },
    status: {
      conditions: [...(csr.status?.conditions ?? []), condition(approval, kubeTime(clock.wallMs()))],
    },
  }
  try {
    await api.patch(
      certificateSigningRequests,
      { name },
      { type: 'merge', subresource: 'approval', body },
      signal,
    )
    log.info({ request: name, user: csr.spec.username, ...approval }, 'certificate request judged')
  } catch (error) {
    if (!hasCode(error, 'NotFound')) throw error
  }
}

function condition(approval: Exclude<Approval, { kind: 'leave' }>, now: string): object {
  return {
    type: approval.kind === 'approve' ? 'Approved' : 'Denied',
    status: 'True',
    reason: approval.kind === 'approve' ? 'SpillwayNode' : approval.reason,
    message: approval.message,
    lastUpdateTime: now,
  }
}
