import type { Secret } from '../../model/kubernetes.ts'
import type { ImageAuth } from './cri-types.ts'

interface Entry {
  readonly registry: string
  readonly auth: ImageAuth
}

/**
 * The credentials of pull Secrets that fit a repository, the most specific first (pkg/credentialprovider): by registry
 * host, `*` for one label of it, and a prefix of the path. Broken Secrets are skipped; `problems` says which.
 */
export function credentialsFor(
  repository: string,
  secrets: readonly Secret[],
): { readonly auths: readonly ImageAuth[]; readonly problems: readonly string[] } {
  const entries: Entry[] = []
  const problems: string[] = []
  for (const secret of secrets) {
    try {
      entries.push(...entriesOf(secret))
    } catch {
      problems.push(`Secret "${secret.metadata?.name}" holds no readable registry credentials`)
    }
  }
  const auths = entries
    .filter(({ registry }) => fits(registry, repository))
    .sort((a, b) => b.registry.length - a.registry.length)
    .map(({ auth }) => auth)
  return { auths, problems }
}

function entriesOf({ type, data }: Secret): Entry[] {
  const key = type === 'kubernetes.io/dockerconfigjson' ? '.dockerconfigjson' : '.dockercfg'
  const encoded = data?.[key]
  if (encoded === undefined) throw new Error(`no ${key}`)
  const parsed = JSON.parse(Buffer.from(encoded, 'base64').toString()) as Record<string, unknown>
  const table = (key === '.dockercfg' ? parsed : (parsed['auths'] ?? {})) as Record<string, ImageAuth>
  return Object.entries(table).map(([address, given]) => ({
    registry: normalise(address),
    auth: { ...userAndPassword(given), serverAddress: address },
  }))
}

function userAndPassword({ username, password, auth, identityToken }: ImageAuth): ImageAuth {
  if (identityToken) return { identityToken }
  if (!auth) return { username: username ?? '', password: password ?? '' }
  const decoded = Buffer.from(auth, 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon < 0) throw new Error('auth is not user:password')
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

// People write https://index.docker.io/v1/ for what images call docker.io.
function normalise(address: string): string {
  const bare = address.replace(/^https?:\/\//, '').replace(/\/+$/, '')
  const withoutVersion = bare.replace(/\/v[12]$/, '')
  return withoutVersion.replace(/^index\.docker\.io/, 'docker.io')
}

function fits(registry: string, repository: string): boolean {
  const [host = '', ...path] = registry.split('/')
  const [wantedHost = '', ...wantedPath] = repository.split('/')
  const labels = host.split('.')
  const wantedLabels = wantedHost.split('.')
  if (labels.length !== wantedLabels.length) return false
  const hostFits = labels.every((label, index) => labelFits(label, wantedLabels[index] ?? ''))
  return hostFits && (path.length === 0 || wantedPath.join('/').startsWith(path.join('/')))
}

function labelFits(pattern: string, label: string): boolean {
  const [start = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return start === label
  const end = rest.at(-1) ?? ''
  return label.length >= start.length + end.length && label.startsWith(start) && label.endsWith(end)
}
