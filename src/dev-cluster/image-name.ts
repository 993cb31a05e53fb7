export interface ImageName {
  /** As in `docker.io`. */
  readonly host: string
  /** Path in the registry, as in `library/busybox`. */
  readonly repository: string
  readonly tag: string
}

/** Splits a fully qualified name with a tag. Throws naming the text when it is none. */
export function parseImageName(name: string): ImageName {
  const match = /^([^/]+\.[^/]+)\/(.+):([\w.-]+)$/.exec(name)
  const [, host, repository, tag] = match ?? []
  if (host === undefined || repository === undefined || tag === undefined) {
    throw new Error(`"${name}" is not a fully qualified image name with a tag`)
  }
  return { host, repository, tag }
}
