/** Of the Node, and of its host name label. */
export function virtualNodeName(pool: string, ordinal: number): string {
  return `${pool}-${ordinal}`
}

/** `spec.providerID`: what tells a Node of ours from one that only has its name. */
export function providerId(pool: string, ordinal: number): string {
  return `spillway://${pool}/${ordinal}`
}

/** Undefined: no Node of ours. */
export function parseProviderId(text: string | undefined): { pool: string; ordinal: number } | undefined {
  const [, pool, ordinal] = /^spillway:\/\/([^/]+)\/(\d+)$/.exec(text ?? '') ?? []
  return pool === undefined ? undefined : { pool, ordinal: Number(ordinal) }
}

/** By its name alone, also when neither Node nor pool is there any more. */
export function poolOfNodeName(node: string): string {
  return node.replace(/-\d+$/, '')
}
