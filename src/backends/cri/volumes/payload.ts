import { normalize } from 'node:path'
import { errorMessage, hasCode, SpillwayError } from '../../../model/errors.ts'
import type { ConfigMap, Pod, PodCertificateProjection, Secret, Volume } from '../../../model/kubernetes.ts'
import type { PodSources } from '../../backend.ts'
import type { Payload, ProjectedFile } from './atomic-writer.ts'
import { metadataField, resourceField, unsupportedField } from './field-ref.ts'
import { commonUser } from './ownership.ts'
import type { PodCertificates } from './pod-certificates.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'
import { trustAnchors, type TrustBundleProjection } from './trust-anchors.ts'

export interface PayloadInput {
  readonly pod: Pod
  readonly sources: PodSources
  readonly tokens: ServiceAccountTokens
  readonly certificates: PodCertificates
}

/** One source of a projected volume. */
interface SourceInput extends PayloadInput {
  readonly mode: number
  /** As in `spec.volumes[certs].projected.sources[0]`. */
  readonly field: string
}

interface KeyToPath {
  readonly key: string
  readonly path: string
  readonly mode?: number
}

type Projected = NonNullable<Volume['projected']>
type ProjectedSource = NonNullable<Projected['sources']>[number]
type DownwardItems = NonNullable<NonNullable<Volume['downwardAPI']>['items']>
type Files = Map<string, ProjectedFile>

/** What the API server defaults `defaultMode` to. */
const standardMode = 0o644

/**
 * The files of a ConfigMap, Secret, downward API or projected volume as they should be now. Undefined for other kinds.
 * NotFound: something that is not optional is missing; the message is kubelet's.
 */
export async function volumePayload(
  volume: Volume,
  input: PayloadInput,
  signal: AbortSignal,
): Promise<Payload | undefined> {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap) {
    const { name = '', items, optional, defaultMode: mode = standardMode } = configMap
    return await configMapFiles({ name, items, optional, mode }, input, signal)
  }
  if (secret) {
    const { secretName: name = '', items, optional, defaultMode: mode = standardMode } = secret
    return await secretFiles({ name, items, optional, mode }, input, signal)
  }
  if (downwardAPI) {
    return downwardFiles(downwardAPI.items ?? [], downwardAPI.defaultMode ?? standardMode, input)
  }
  return projected ? await projectedFiles(volume.name, projected, input, signal) : undefined
}

/** Later sources win where two name the same path. */
async function projectedFiles(
  name: string,
  projected: Projected,
  input: PayloadInput,
  signal: AbortSignal,
): Promise<Payload> {
  const mode = projected.defaultMode ?? standardMode
  const files: Files = new Map()
  // All of them, whatever becomes of one: signers are asked at the same time.
  const outcomes = await Promise.allSettled(
    (projected.sources ?? []).map((source, index) => {
      const field = `spec.volumes[${name}].projected.sources[${index}]`
      return sourceFiles(source, { ...input, mode, field }, signal)
    }),
  )
  signal.throwIfAborted()
  const errors = outcomes.flatMap((outcome): unknown[] =>
    outcome.status === 'rejected' ? [outcome.reason] : [],
  )
  if (errors.length > 0) throw together(errors)
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') for (const [path, file] of outcome.value) files.set(path, file)
  }
  return files
}

/** One error as it is; several in one sentence, as kubelet tells them. */
function together(errors: readonly unknown[]): unknown {
  const messages = [...new Set(errors.map(errorMessage))]
  const [first] = errors
  if (messages.length === 1) return first
  const code = first instanceof SpillwayError ? first.code : 'Unavailable'
  return new SpillwayError(code, `[${messages.join(', ')}]`, { cause: first })
}

async function sourceFiles(
  source: ProjectedSource,
  input: SourceInput,
  signal: AbortSignal,
): Promise<Payload> {
  const { mode } = input
  if (source.configMap) {
    const { name = '', items, optional } = source.configMap
    return await configMapFiles({ name, items, optional, mode }, input, signal)
  }
  if (source.secret) {
    const { name = '', items, optional } = source.secret
    return await secretFiles({ name, items, optional, mode }, input, signal)
  }
  if (source.downwardAPI) return downwardFiles(source.downwardAPI.items ?? [], mode, input)
  if (source.serviceAccountToken) return await tokenFile(source.serviceAccountToken, input, signal)
  if (source.clusterTrustBundle) return await trustBundleFile(source.clusterTrustBundle, input, signal)
  if (source.podCertificate) return await certificateFiles(source.podCertificate, input, signal)
  throw new SpillwayError(
    'Unsupported',
    `projected source ${Object.keys(source).join(', ')}: only clusterTrustBundle, configMap, downwardAPI, podCertificate, secret and serviceAccountToken are supported`,
  )
}

interface Reference {
  readonly name: string
  readonly items: readonly KeyToPath[] | undefined
  readonly optional: boolean | undefined
  readonly mode: number
}

async function configMapFiles(
  reference: Reference,
  input: PayloadInput,
  signal: AbortSignal,
): Promise<Payload> {
  const found = await input.sources.configMap(reference.name, signal)
  if (!found && !reference.optional) throw missing(`configmap "${reference.name}" not found`)
  return selectKeys(
    configMapData(found),
    reference,
    (key) => `configmap references non-existent config key: ${key}`,
  )
}

async function secretFiles(reference: Reference, input: PayloadInput, signal: AbortSignal): Promise<Payload> {
  const found = await input.sources.secret(reference.name, signal)
  if (!found && !reference.optional) throw missing(`secret "${reference.name}" not found`)
  return selectKeys(secretData(found), reference, (key) => `references non-existent secret key: ${key}`)
}

function configMapData(configMap: ConfigMap | undefined): Map<string, Buffer> {
  const data = new Map<string, Buffer>()
  for (const [key, text] of Object.entries(configMap?.data ?? {})) data.set(key, Buffer.from(text))
  for (const [key, base64] of Object.entries(configMap?.binaryData ?? {})) {
    data.set(key, Buffer.from(base64, 'base64'))
  }
  return data
}

export function secretData(secret: Secret | undefined): Map<string, Buffer> {
  const data = new Map<string, Buffer>()
  for (const [key, base64] of Object.entries(secret?.data ?? {})) data.set(key, Buffer.from(base64, 'base64'))
  return data
}

function selectKeys(
  data: ReadonlyMap<string, Buffer>,
  { items = [], optional, mode }: Reference,
  absent: (key: string) => string,
): Payload {
  const files: Files = new Map()
  if (items.length === 0) {
    for (const [key, bytes] of data) files.set(key, { data: bytes, mode })
    return files
  }
  for (const item of items) {
    const bytes = data.get(item.key)
    if (bytes) files.set(item.path, { data: bytes, mode: item.mode ?? mode })
    else if (!optional) throw missing(absent(item.key))
  }
  return files
}

function downwardFiles(items: DownwardItems, mode: number, { pod, sources }: PayloadInput): Payload {
  const files: Files = new Map()
  for (const item of items) {
    const { fieldRef, resourceFieldRef } = item
    let text = ''
    if (fieldRef) text = metadataField(pod, fieldRef.fieldPath) ?? unsupportedField(fieldRef.fieldPath)
    else if (resourceFieldRef) text = resourceField(resourceFieldRef, { pod, node: sources.node })
    files.set(normalize(item.path), { data: Buffer.from(text), mode: item.mode ?? mode })
  }
  return files
}

async function tokenFile(
  source: NonNullable<ProjectedSource['serviceAccountToken']>,
  input: SourceInput,
  signal: AbortSignal,
): Promise<Payload> {
  const { audience = '', expirationSeconds = 3600, path } = source
  const token = await input.tokens.current({ audience, expirationSeconds }, signal)
  return new Map([[path, ownFile(Buffer.from(token), input)]])
}

async function trustBundleFile(
  source: TrustBundleProjection,
  input: SourceInput,
  signal: AbortSignal,
): Promise<Payload> {
  const { pod, sources, field } = input
  const bundles = await naming(`${field}.clusterTrustBundle`, sources.clusterTrustBundles(signal))
  const anchors = trustAnchors(source, bundles, pod.metadata?.uid ?? '')
  return new Map([[source.path, ownFile(anchors, input)]])
}

async function certificateFiles(
  source: PodCertificateProjection,
  input: SourceInput,
  signal: AbortSignal,
): Promise<Payload> {
  const { certificates, field } = input
  const { key, chain } = await naming(`${field}.podCertificate`, certificates.current(field, source, signal))
  const files: Files = new Map()
  const { credentialBundlePath, keyPath, certificateChainPath } = source
  if (credentialBundlePath) files.set(credentialBundlePath, ownFile(Buffer.concat([key, chain]), input))
  if (keyPath) files.set(keyPath, ownFile(key, input))
  if (certificateChainPath) files.set(certificateChainPath, ownFile(chain, input))
  return files
}

/** What the cluster cannot do is told with the field that asks for it; everything else in kubelet's own words. */
async function naming<T>(field: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    if (!hasCode(error, 'Unavailable')) throw error
    throw new SpillwayError('Unavailable', `${field}: ${error.message}`, { cause: error })
  }
}

/** Private to the one user, or to the group that ownership.ts then adds; else every user of the Pod has to read it. */
function ownFile(data: Buffer, { pod, mode }: SourceInput): ProjectedFile {
  const uid = commonUser(pod)
  const isPrivate = uid !== undefined || pod.spec?.securityContext?.fsGroup !== undefined
  const file = { data, mode: isPrivate ? 0o600 : mode }
  return uid === undefined ? file : { ...file, uid }
}

function missing(message: string): SpillwayError {
  return new SpillwayError('NotFound', message)
}
