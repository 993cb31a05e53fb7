import { givenResources } from '../../../lifecycle/given-resources.ts'
import type { Container, Pod } from '../../../model/kubernetes.ts'
import { parseQuantity } from '../../../model/quantity.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { NodeFacts } from '../../backend.ts'

/**
 * The downward API: fields of a Pod and resources of its containers as text, for volumes and for variables.
 * What is supported and how it is rounded: pkg/fieldpath and pkg/api/v1/resource of Kubernetes 1.37.
 */
export interface ResourceFieldRef {
  readonly containerName?: string
  readonly resource: string
  /** A quantity; the unit of the answer. Default 1. */
  readonly divisor?: string
}

/** A field of `metadata`. Undefined when the path is none of those that a volume may name. */
export function metadataField(pod: Pod, path: string): string | undefined {
  const { name, namespace, uid, labels = {}, annotations = {} } = pod.metadata ?? {}
  const subscripted = /^(.+?)\['(.*)'\]$/s.exec(path)
  if (subscripted) {
    const key = subscripted[2] ?? ''
    if (subscripted[1] === 'metadata.labels') return labels[key] ?? ''
    if (subscripted[1] === 'metadata.annotations') return annotations[key] ?? ''
    return undefined
  }
  switch (path) {
    case 'metadata.name':
      return name ?? ''
    case 'metadata.namespace':
      return namespace ?? ''
    case 'metadata.uid':
      return uid ?? ''
    case 'metadata.labels':
      return keyValueLines(labels)
    case 'metadata.annotations':
      return keyValueLines(annotations)
    default:
      return undefined
  }
}

export interface PodFacts {
  readonly pod: Pod
  /** Primary first; empty while the network is not up. */
  readonly podIps: readonly string[]
  readonly node: NodeFacts
}

/** A field as a variable may name it: those of a volume, and where the Pod runs. Rejected: the path is none of them. */
export function podField({ pod, podIps, node }: PodFacts, path: string): string {
  switch (path) {
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? ''
    case 'status.hostIP':
      return node.ips[0] ?? ''
    case 'status.hostIPs':
      return node.ips.join(',')
    case 'status.podIP':
      return podIps[0] ?? ''
    case 'status.podIPs':
      return podIps.join(',')
    default:
      return metadataField(pod, path) ?? unsupportedField(path)
  }
}

export function unsupportedField(path: string): never {
  throw new SpillwayError('Rejected', `unsupported fieldPath: ${path}`)
}

/**
 * Amount over divisor, rounded up. A limit that is not set reads as that of the Pod as a whole, and where that is not
 * set either as the node's allocatable; a request as 0.
 * `own` is the container that the reference stands in, when it may leave the name out.
 */
export function resourceField(
  ref: ResourceFieldRef,
  { pod, node, own }: { readonly pod: Pod; readonly node: NodeFacts; readonly own?: Container },
): string {
  const container = ref.containerName ? findContainer(pod, ref.containerName) : own
  if (!container) {
    throw new SpillwayError('Rejected', `container ${ref.containerName ?? ''} not found`)
  }
  const [kind, name = ''] = splitOnce(ref.resource, '.')
  const known =
    ['cpu', 'memory', 'ephemeral-storage'].includes(name) ||
    (name.startsWith('hugepages-') && name.length > 10)
  if ((kind !== 'limits' && kind !== 'requests') || !known) {
    throw new SpillwayError('Rejected', `unsupported container resource : ${ref.resource}`)
  }
  // CPU is compared in thousandths, so that a divisor of 1m works; the rest in whole units.
  const scale = name === 'cpu' ? 3 : 0
  const list = kind === 'limits' ? givenResources(pod, container).limits : container.resources?.requests
  const stated = parseQuantity(list?.[name] ?? '0', scale)
  const amount = kind === 'limits' && stated === 0n ? allocatable(node, name) : stated
  const divisor = parseQuantity(ref.divisor ?? '0', scale) || parseQuantity('1', scale)
  return String((amount + divisor - 1n) / divisor)
}

function allocatable(node: NodeFacts, resource: string): bigint {
  if (resource === 'cpu') return node.allocatableCpuMillis
  if (resource === 'memory') return node.allocatableMemoryBytes
  if (resource === 'ephemeral-storage') return node.allocatableEphemeralStorageBytes ?? 0n
  return 0n
}

function findContainer(pod: Pod, name: string): Container | undefined {
  const { initContainers = [], containers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers].find((container) => container.name === name)
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}

/** `key="value"` lines in the order of the keys' bytes, values quoted as Go's strconv.Quote does. */
function keyValueLines(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort(byBytes)
    .map((key) => `${key}=${goQuote(map[key] ?? '')}`)
    .join('\n')
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['\u0007', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
  ['\\', '\\\\'],
  ['"', '\\"'],
])

function goQuote(text: string): string {
  let quoted = '"'
  for (const character of text) quoted += shortEscapes.get(character) ?? escapeUnprintable(character)
  return `${quoted}"`
}

// Go leaves letters, marks, numbers, punctuation, symbols and the plain space as they are.
function escapeUnprintable(character: string): string {
  if (character === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) return character
  const code = character.codePointAt(0) ?? 0
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x1_0000
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\U${code.toString(16).padStart(8, '0')}`
}
