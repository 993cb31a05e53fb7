import { createHash } from 'node:crypto'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { Secret } from '../../../model/kubernetes.ts'
import type { ImageAuth } from '../runtime/cri-types.ts'
import type { PullSecret } from './image-access.ts'

/** A login at a registry, and the Secret that it is from. */
export interface Credential {
  readonly auth: ImageAuth
  readonly source: PullSecret
}

interface Entry extends Credential {
  /** Host and path, as in `registry.example:5000/team`; `*` in the host stands for one label or a part of it. */
  readonly key: string
}

/** Where Docker keeps logins for what images call docker.io. */
const oldDockerHub = 'index.docker.io'

/**
 * The logins in pull Secrets that fit a repository, as in `registry.example:5000/team/app`, the most specific first
 * (pkg/credentialprovider): by host, port and prefix of the path. Rejected: a Secret cannot be read. Secrets of other
 * types hold none.
 */
export function credentialsFor(repository: string, secrets: readonly Secret[]): readonly Credential[] {
  const entries = secrets.flatMap(entriesOf)
  const fitting = entries
    .filter(({ key }) => fits(key, repository))
    // Of keys that fit the same repository the later in the alphabet is the longer one, or the one without a star.
    .sort((a, b) => (a.key < b.key ? 1 : a.key > b.key ? -1 : 0))
  if (fitting.length > 0 || !repository.startsWith('docker.io/')) return fitting
  return entries.filter(({ key }) => key === oldDockerHub)
}

function entriesOf(secret: Secret): Entry[] {
  const { type, data, metadata } = secret
  const field = type === 'kubernetes.io/dockerconfigjson' ? '.dockerconfigjson' : '.dockercfg'
  const encoded = data?.[field]
  if (!encoded || (field === '.dockercfg' && type !== 'kubernetes.io/dockercfg')) return []
  try {
    const parsed = asObject(jsonIn(Buffer.from(encoded, 'base64').toString()))
    const table = field === '.dockercfg' ? parsed : asObject(parsed['auths'] ?? {})
    return Object.entries(table).map(([address, login]) => {
      const given = asObject(login)
      const auth = userAndPassword(given)
      const { uid = '', namespace = '', name = '' } = metadata ?? {}
      // The address is not passed on: the runtime compares it with the host that it asks, which may be a mirror.
      return {
        key: keyOf(address),
        auth,
        source: { uid, namespace, name, hash: hashOf(auth, given['email']) },
      }
    })
  } catch (error) {
    const message = `Secret "${metadata?.name}" holds no readable registry credentials in ${field}: ${errorMessage(error)}`
    throw new SpillwayError('Rejected', message, { cause: error })
  }
}

/** V8's own error quotes what it could not read, and this goes into an event. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('it is no JSON')
  }
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new Error('an object is wanted where there is none')
}

/** `auth`, both in one, counts more than the two fields. */
function userAndPassword({ username, password, auth }: Record<string, unknown>): ImageAuth {
  if (typeof auth !== 'string' || auth === '') return { username: text(username), password: text(password) }
  const decoded = Buffer.from(auth, 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon < 0) throw new Error('auth is not the base64 of user:password')
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function hashOf({ username, password }: ImageAuth, email: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify([username, password, text(email)]))
    .digest('hex')
}

// People write https://index.docker.io/v1/ too: the versions of the protocol are no path.
function keyOf(address: string): string {
  const bare = address.replace(/^https?:\/\//, '')
  const slash = bare.indexOf('/')
  const [host, path] = slash < 0 ? [bare, ''] : [bare.slice(0, slash), bare.slice(slash)]
  const rest = path.replace(/^\/v[12](?=\/)/, '')
  return rest === '/' ? host : `${host}${rest}`
}

function fits(key: string, repository: string): boolean {
  const [own, wanted] = [splitUrl(key), splitUrl(repository)]
  return (
    own.port === wanted.port &&
    own.labels.length === wanted.labels.length &&
    wanted.path.startsWith(own.path) &&
    own.labels.every((label, index) => globOf(label).test(wanted.labels[index] ?? ''))
  )
}

function splitUrl(url: string): { labels: readonly string[]; port: string; path: string } {
  const [, host = '', port = '', path = ''] = /^([^/]*?)(:\d+)?(\/.*)?$/.exec(url) ?? []
  return { labels: host.split('.'), port, path }
}

function globOf(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[\\^$.|+(){}[\]]/g, String.raw`\$&`)
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}
