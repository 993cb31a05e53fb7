import { SpillwayError } from '../../../model/errors.ts'

export interface ImageName {
  /** As given, with `:latest` when there is neither tag nor digest. Not fully qualified: the runtime does that. */
  readonly reference: string
  /** As given, without tag and digest. */
  readonly name: string
  /** As the runtime lists it, however it was given: `docker.io/library/nginx:latest`, or with the digest alone. */
  readonly full: string
  /** For looking up credentials: registry and path without tag, as in `docker.io/library/nginx`. */
  readonly repository: string
}

const domain = /^(?:localhost|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::\d+)?$/
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const tagPattern = /^\w[\w.-]{0,127}$/
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/

/**
 * Reads an image's name by the grammar of github.com/distribution/reference. Rejected, with the reason
 * `InvalidImageName`, when it is none.
 */
export function parseImageName(text: string): ImageName {
  const [rest = '', digest, ...excess] = text.split('@')
  const colon = rest.lastIndexOf(':')
  const tagged = colon > rest.lastIndexOf('/')
  const name = tagged ? rest.slice(0, colon) : rest
  const tag = tagged ? rest.slice(colon + 1) : undefined
  const [first = '', ...more] = name.split('/')
  const hasDomain = more.length > 0 && /[.:]|^localhost$|[A-Z]/.test(first)
  const registry = hasDomain ? first : 'docker.io'
  const components = hasDomain ? more : [first, ...more]
  const valid =
    excess.length === 0 &&
    (!hasDomain || domain.test(registry)) &&
    components.every((part) => component.test(part)) &&
    (tag === undefined || tagPattern.test(tag)) &&
    (digest === undefined || digestPattern.test(digest))
  const library = registry === 'docker.io' && components.length === 1 ? ['library'] : []
  const path = [...library, ...components].join('/')
  if (!valid) throw invalid(text, path)
  return {
    reference: tag === undefined && digest === undefined ? `${text}:latest` : text,
    name,
    full: `${registry}/${path}${digest === undefined ? `:${tag ?? 'latest'}` : `@${digest}`}`,
    repository: `${registry}/${path}`,
  }
}

/** In kubelet's words. */
function invalid(text: string, path: string): SpillwayError {
  const why = path === path.toLowerCase() ? '' : `: repository name (${path}) must be lowercase`
  const message = `Failed to apply default image tag "${text}": couldn't parse image name "${text}": invalid reference format${why}`
  return new SpillwayError('Rejected', message, { reason: 'InvalidImageName' })
}

/** kubelet's default: a moving tag is pulled each time, anything else only when it is missing. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  const { reference } = parseImageName(image)
  return reference.endsWith(':latest') ? 'Always' : 'IfNotPresent'
}
