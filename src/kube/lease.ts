import { kubeMicroTime, parseTimeMs, type Clock } from '../model/clock.ts'
import { errorMessage, hasCode, SpillwayError } from '../model/errors.ts'
import type { Lease } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeApi } from './api.ts'
import { leases } from './resources.ts'

/** Where node leases are. */
export const nodeLeaseNamespace = 'kube-node-lease'

export interface LeaseTerms {
  readonly nodeName: string
  /** `metadata.uid` of the Node: its one owner, with which it is garbage-collected. */
  readonly nodeUid: string
  readonly durationSeconds: number
  /** Wall time. */
  readonly nowMs: number
}

/**
 * The next lease after `previous`. `renewTime` always moves forward, also when the wall clock was set back: the
 * node-lifecycle controller takes a lease whose time did not move for a node that is silent.
 */
export function leaseFor(previous: Lease | undefined, terms: LeaseTerms): Lease {
  const { nodeName, nodeUid, durationSeconds, nowMs } = terms
  const renewedMs = previous?.spec?.renewTime === undefined ? undefined : parseTimeMs(previous.spec.renewTime)
  const renewMs = renewedMs === undefined ? nowMs : Math.max(nowMs, renewedMs + 1)
  return {
    metadata: {
      ...previous?.metadata,
      name: nodeName,
      namespace: nodeLeaseNamespace,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeUid }],
    },
    spec: {
      ...previous?.spec,
      holderIdentity: nodeName,
      leaseDurationSeconds: durationSeconds,
      renewTime: kubeMicroTime(renewMs),
    },
  }
}

/** Milliseconds until the next renewal: 4 % around the interval, as kubelet spreads them. */
export function renewDelayMs(intervalMs: number, random: number): number {
  return Math.round(intervalMs * (0.96 + 0.08 * random))
}

/** Milliseconds until the next try after a failed one: from 0.2 s up to a fifth of the interval. */
export function renewRetryMs(intervalMs: number, failures: number, random: number): number {
  const plainMs = Math.min(200 * 2 ** Math.max(failures - 1, 0), intervalMs / 5)
  return Math.round(plainMs * (0.8 + 0.4 * random))
}

export interface LeaseKeeperOptions {
  readonly api: Pick<KubeApi, 'get' | 'create' | 'replace'>
  readonly nodeName: string
  /** UID of the Node as it is now; undefined while there is none. Without it no lease is written. */
  readonly nodeUid: () => string | undefined
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Default 40, as kubelet. */
  readonly durationSeconds?: number
  /** Default 10 s, as kubelet. */
  readonly intervalMs?: number
  /** Called after each renewal that the API server has confirmed. */
  readonly onRenewed?: () => void
}

/**
 * Renews the node's lease until the signal is aborted, then resolves. A lease that was deleted is made again; one that
 * somebody changed is taken over. Never rejects: failures are logged and tried again quickly.
 */
export async function keepLease(options: LeaseKeeperOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log, nodeName, intervalMs = 10_000 } = options
  let last: Lease | undefined
  let failures = 0
  while (!signal.aborted) {
    let delayMs: number
    try {
      last = await renewInTime(options, last, signal)
      delayMs = last ? renewDelayMs(intervalMs, random()) : renewRetryMs(intervalMs, 1, random())
      failures = 0
      if (last) options.onRenewed?.()
    } catch (error) {
      if (signal.aborted) return
      // Whatever went wrong, what is there now decides: changed by others (Conflict), deleted (NotFound).
      last = undefined
      failures += 1
      delayMs = renewRetryMs(intervalMs, failures, random())
      log.warn(
        { node: nodeName, failures, retryInMs: delayMs, error: errorMessage(error) },
        'lease not renewed',
      )
    }
    try {
      await clock.sleep(delayMs, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

/** One try, cut off after the interval: a connection that died in silence must not use up the lease's 40 s. */
async function renewInTime(
  options: LeaseKeeperOptions,
  last: Lease | undefined,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const { clock, intervalMs = 10_000 } = options
  const inner = new AbortController()
  const onAbort = (): void => inner.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const cancelTimer = clock.timer(intervalMs, () => {
    inner.abort(new SpillwayError('Unavailable', `no answer within ${intervalMs} ms`))
  })
  try {
    return await renew(options, last, inner.signal)
  } finally {
    cancelTimer()
    signal.removeEventListener('abort', onAbort)
  }
}

async function renew(
  { api, nodeName, nodeUid, clock, durationSeconds = 40 }: LeaseKeeperOptions,
  last: Lease | undefined,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  const uid = nodeUid()
  if (uid === undefined) return undefined
  const terms = (): LeaseTerms => ({ nodeName, nodeUid: uid, durationSeconds, nowMs: clock.wallMs() })
  const name = { namespace: nodeLeaseNamespace, name: nodeName }
  const present = last ?? (await orUndefined('NotFound', api.get(leases, name, signal)))
  if (present) {
    const replaced = await orUndefined('NotFound', api.replace(leases, leaseFor(present, terms()), signal))
    if (replaced) return replaced
  }
  return api.create(leases, leaseFor(undefined, terms()), signal)
}

async function orUndefined<T>(code: 'NotFound', promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (hasCode(error, code)) return undefined
    throw error
  }
}
