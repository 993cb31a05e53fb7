/** A pull Secret, and a hash of the login in it. */
export interface PullSecret {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** Of user, password and e-mail address; SHA-256 in hex. */
  readonly hash: string
}

/** Who has shown a right to an image that is on this machine. */
export type ImageAccess =
  /** It came without a login. */
  { readonly kind: 'everyone' } | { readonly kind: 'secrets'; readonly secrets: readonly PullSecret[] }

/** An image that we pulled; one that came here by other hands has none. */
export interface PullRecord {
  readonly imageId: string
  /** By the name that Pods give it, without tag and digest. */
  readonly access: Readonly<Record<string, ImageAccess>>
}

/** Keeps a record small in a cluster where namespaces come and go. */
const mostLearned = 100

/**
 * Whether a Pod with these pull Secrets may use an image that is here without asking the registry (kubelet's
 * pkg/kubelet/images/pullmanager, policy NeverVerifyPreloadedImages): when it came without a login, when the registry
 * has accepted the same login before, or the same Secret before its login was changed. `learned` is to be added to the
 * record then.
 */
export function mayUse(
  access: ImageAccess | undefined,
  secrets: readonly PullSecret[],
): { readonly allowed: boolean; readonly learned?: PullSecret } {
  if (access === undefined) return { allowed: false }
  if (access.kind === 'everyone') return { allowed: true }
  for (const secret of secrets) {
    for (const known of access.secrets) {
      const isSame = sameSecret(secret, known)
      if (known.hash !== secret.hash && !isSame) continue
      const isNews = known.hash !== secret.hash || !isSame
      return { allowed: true, ...(isNews && access.secrets.length < mostLearned && { learned: secret }) }
    }
  }
  return { allowed: false }
}

/** The record with one more right in it; the same object when it says so already. */
export function withAccess(record: PullRecord, name: string, granted: ImageAccess): PullRecord {
  const before = record.access[name]
  const after = merged(before, granted)
  return after === before ? record : { ...record, access: { ...record.access, [name]: after } }
}

function merged(before: ImageAccess | undefined, granted: ImageAccess): ImageAccess {
  if (before === undefined || before.kind === 'everyone') return before ?? granted
  if (granted.kind === 'everyone') return granted
  const news = granted.secrets.filter(
    (secret) => !before.secrets.some((known) => sameSecret(known, secret) && known.hash === secret.hash),
  )
  if (news.length === 0) return before
  const kept = before.secrets.filter((known) => !news.some((secret) => sameSecret(known, secret)))
  return { kind: 'secrets', secrets: [...kept, ...news] }
}

function sameSecret(a: PullSecret, b: PullSecret): boolean {
  return a.uid === b.uid && a.namespace === b.namespace && a.name === b.name
}
