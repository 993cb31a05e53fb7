import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../model/clock.ts'
import { SpillwayError, errorMessage } from '../model/errors.ts'

/** An API server and who we are to it. */
export interface Credentials {
  /** As in `https://10.0.0.1:6443`, with a path when it sits behind one; no slash at the end. */
  readonly server: string
  /** PEM. Absent: the authorities that Node knows. */
  readonly ca?: string
  readonly insecureSkipTlsVerify: boolean
  /** The name to check the server's certificate against, in place of the host in `server`. */
  readonly tlsServerName?: string
  /** What to show with the next request. Cached inside; cheap to call. Rejects with Unavailable or ConfigInvalid. */
  identity(signal: AbortSignal): Promise<Identity>
  /** The API server answered 401: what was cached is read anew by the next `identity`. */
  refused(): void
}

export interface Identity {
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly certificate?: ClientCertificate
}

/** Both PEM. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** Acts as somebody else; needs the right to impersonate. */
export interface Impersonation {
  readonly user: string
  readonly groups: readonly string[]
}

export interface ExplicitCredentials {
  readonly server: string
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly impersonate?: Impersonation
}

/** An API server and a client certificate, both known already (the embedded cluster). */
export function explicitCredentials(options: ExplicitCredentials): Credentials {
  const { server, ca, cert, key, impersonate } = options
  const identity: Identity = { headers: impersonationHeaders(impersonate), certificate: { cert, key } }
  return {
    server: serverUrl(server, 'server'),
    ca,
    insecureSkipTlsVerify: false,
    identity: () => Promise.resolve(identity),
    refused: () => undefined,
  }
}

export interface InClusterOptions {
  /** Holds `token` and `ca.crt`; in a Pod `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly directory: string
  /** Read: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly impersonate?: Impersonation
}

/** The ServiceAccount that kubelet mounts into every Pod. Rejects with ConfigInvalid. */
export async function inClusterCredentials(
  { directory, environment, clock, impersonate }: InClusterOptions,
  signal: AbortSignal,
): Promise<Credentials> {
  const host = environment['KUBERNETES_SERVICE_HOST']
  const port = environment['KUBERNETES_SERVICE_PORT']
  if (!host || !port) {
    throw new SpillwayError(
      'ConfigInvalid',
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this process does not run in a Pod; give a kubeconfig',
    )
  }
  const ca = await readTextFile(join(directory, 'ca.crt'), 'the cluster CA', signal)
  const token = createTokenFile({ path: join(directory, 'token'), what: 'the ServiceAccount token', clock })
  await token.read(signal)
  return {
    server: serverUrl(
      `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      'KUBERNETES_SERVICE_HOST',
    ),
    ca,
    insecureSkipTlsVerify: false,
    identity: async (signal) => ({
      headers: {
        authorization: `Bearer ${await token.read(signal)}`,
        ...impersonationHeaders(impersonate),
      },
    }),
    refused: () => token.forget(),
  }
}

/** The headers of https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation. */
export function impersonationHeaders(
  impersonate: Impersonation | undefined,
): Record<string, string | readonly string[]> {
  if (!impersonate) return {}
  return { 'impersonate-user': impersonate.user, 'impersonate-group': impersonate.groups }
}

export interface TokenFile {
  read(signal: AbortSignal): Promise<string>
  forget(): void
}

// Kubelet writes a new token at 80 % of its life, an hour by default: a minute's delay is harmless, and client-go
// (transport/token_source.go) waits as long.
const tokenMaxAgeMs = 60_000

/** A token in a file that somebody else renews. A file that cannot be read just now does not lose the token in use. */
export function createTokenFile(options: {
  readonly path: string
  readonly what: string
  readonly clock: Clock
}): TokenFile {
  let cached: { readonly token: string; readonly readAtMs: number } | undefined
  let stale = false
  return {
    read: async (signal) => {
      const nowMs = options.clock.monotonicMs()
      if (cached && !stale && nowMs - cached.readAtMs < tokenMaxAgeMs) return cached.token
      try {
        const token = (await readTextFile(options.path, options.what, signal)).trim()
        if (token === '')
          throw new SpillwayError('ConfigInvalid', `${options.path} (${options.what}) is empty`)
        cached = { token, readAtMs: nowMs }
        stale = false
      } catch (error) {
        signal.throwIfAborted()
        if (!cached) throw error
      }
      return cached.token
    },
    forget: () => {
      stale = true
    },
  }
}

/** Rejects with ConfigInvalid naming the file and what it was wanted for. */
export async function readTextFile(path: string, what: string, signal: AbortSignal): Promise<string> {
  try {
    return await readFile(path, { encoding: 'utf8', signal })
  } catch (error) {
    signal.throwIfAborted()
    throw new SpillwayError('ConfigInvalid', `${path} (${what}) cannot be read: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

/** Checks an API server's address and takes the slash off its end. `where` names the field in the error. */
export function serverUrl(text: string, where: string): string {
  const url = URL.parse(text)
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new SpillwayError('ConfigInvalid', `${where}: "${text}" is not an http:// or https:// address`)
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}
