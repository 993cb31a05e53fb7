import { createHash } from 'node:crypto'
import type { KubeApi } from '../kube/api.ts'
import { subjectAccessReviews, tokenReviews } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { ReviewBudget } from './review-budget.ts'
import { ReviewCache } from './review-cache.ts'
import { tokenExpiryMs } from './token-expiry.ts'

/** Who asks, as the API server's reviews have it. */
export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** What a connection and its request bring along; the certificate has been verified against the client CA. */
export interface Credentials {
  readonly certificate?: { readonly commonName: string; readonly organizations: readonly string[] }
  readonly bearerToken?: string
  /** Whose connection it is, as `peerOf` has it. */
  readonly peer: string
}

export interface Authenticator {
  /** Undefined: nobody that is known. Rejects when that cannot be found out now; Busy: the peer asks too often. */
  authenticate(credentials: Credentials, signal: AbortSignal): Promise<User | undefined>
}

export interface NodeAccess {
  readonly user: User
  readonly nodeName: string
  readonly verb: string
  /** Of `nodes`, such as `proxy`. */
  readonly subresource: string
}

export interface Authorizer {
  /** Rejects when it cannot be found out now. */
  isAllowed(access: NodeAccess, signal: AbortSignal): Promise<boolean>
}

interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string }
  readonly status?: { readonly authenticated?: boolean; readonly user?: User }
}

interface SubjectAccessReview extends KubeObject {
  readonly spec: object
  readonly status?: { readonly allowed?: boolean; readonly denied?: boolean }
}

export interface ReviewOptions {
  readonly api: KubeApi
  readonly clock: Clock
}

const minuteMs = 60_000

interface KnownToken {
  readonly user: User
  readonly expiresAtMs: number
}

/**
 * By client certificate (CN is the user, each O a group), else by bearer token and TokenReview. Kubelet's defaults: a
 * token's answer is kept for 2 minutes, but here never beyond the token's own end: from then on the API server says.
 * Refusals are kept for 10 s only: a token may become valid. A token that was good the last time is asked about again
 * whatever the peer's other tokens have cost.
 */
export function reviewAuthenticator({
  api,
  clock,
  budget,
}: ReviewOptions & { readonly budget: ReviewBudget }): Authenticator {
  const cache = new ReviewCache<KnownToken | undefined>({
    clock,
    keepMs: (known) => (known ? Math.min(2 * minuteMs, known.expiresAtMs - clock.wallMs()) : 10_000),
  })
  return {
    authenticate: async ({ certificate, bearerToken, peer }, signal) => {
      if (certificate) {
        const { commonName, organizations } = certificate
        return { username: commonName, groups: [...organizations, 'system:authenticated'] }
      }
      if (!bearerToken) return undefined
      // The digest, so that tokens do not lie around in memory.
      const key = createHash('sha256').update(bearerToken).digest('base64')
      const review = (): Promise<KnownToken | undefined> => reviewToken(api, bearerToken, signal)
      const known = await cache.get(key, (last) => (last ? review() : budget.ask(peer, review)))
      return known?.user
    },
  }
}

async function reviewToken(
  api: KubeApi,
  token: string,
  signal: AbortSignal,
): Promise<KnownToken | undefined> {
  const review: TokenReview = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }
  const { status } = (await api.create(tokenReviews, review, signal)) as TokenReview
  if (!status?.authenticated || !status.user) return undefined
  return { user: status.user, expiresAtMs: tokenExpiryMs(token) }
}

/** By SubjectAccessReview. Kubelet's defaults: what is allowed is kept for 5 minutes, what is not for 30 s. */
export function reviewAuthorizer({ api, clock }: ReviewOptions): Authorizer {
  const cache = new ReviewCache<boolean>({
    clock,
    keepMs: (allowed) => (allowed ? 5 * minuteMs : minuteMs / 2),
  })
  return {
    isAllowed: async (access, signal) => {
      const spec = accessReviewSpec(access)
      return await cache.get(JSON.stringify(spec), () => reviewAccess(api, spec, signal))
    },
  }
}

function accessReviewSpec({ user, nodeName, verb, subresource }: NodeAccess): object {
  return {
    user: user.username,
    uid: user.uid,
    groups: user.groups,
    extra: user.extra,
    resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName },
  }
}

async function reviewAccess(api: KubeApi, spec: object, signal: AbortSignal): Promise<boolean> {
  const review: SubjectAccessReview = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec,
  }
  const { status } = (await api.create(subjectAccessReviews, review, signal)) as SubjectAccessReview
  return status?.allowed === true && status.denied !== true
}
