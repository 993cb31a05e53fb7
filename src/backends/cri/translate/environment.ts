import { expandVariables } from '../../../lifecycle/expand-variables.ts'
import { SpillwayError } from '../../../model/errors.ts'
import type { Container, Pod } from '../../../model/kubernetes.ts'
import type { PodSources } from '../../backend.ts'
import { volumeDirectory } from '../volumes/container-mounts.ts'
import { envFileValue, readEnvFile } from '../volumes/env-file.ts'
import { podField, resourceField } from '../volumes/field-ref.ts'
import { secretData } from '../volumes/payload.ts'

export interface EnvironmentInput {
  readonly pod: Pod
  /** The Pod's own directory on this machine, whose volumes are there. */
  readonly podDir: string
  readonly container: Container
  /** Primary first. */
  readonly podIps: readonly string[]
  readonly sources: PodSources
}

export interface EnvironmentVariable {
  readonly key: string
  readonly value: string
}

type EnvVar = NonNullable<Container['env']>[number]
type EnvVarSource = NonNullable<EnvVar['valueFrom']> & { readonly fileKeyRef?: FileKeyReference }
type EnvFromSource = NonNullable<Container['envFrom']>[number]
type Data = ReadonlyMap<string, string>

/**
 * A container's variables as kubelet makes them: `envFrom`, then `env` (which wins), then those of Services that the
 * container has not set itself. To be read at each start: Secrets change, and the Pod IP is known only then.
 * NotFound, with the reason `CreateContainerConfigError`: something that is not optional is missing; try again.
 *
 * Every key of a ConfigMap or Secret becomes a variable, also one that is no shell identifier: so does kubelet since
 * 1.34 (RelaxedEnvironmentVariableValidation), which dropped the event InvalidEnvironmentVariableNames.
 */
export async function containerEnvironment(
  input: EnvironmentInput,
  signal: AbortSignal,
): Promise<readonly EnvironmentVariable[]> {
  const { container, pod, sources } = input
  const reader = new DataReader(input)
  const services = serviceVariables(await sources.serviceEnvironment(signal), pod)
  const own = new Map<string, string>()
  // What $(NAME) may name: the container's own variables so far, then those of Services.
  const known = new Map(services)
  const set = (name: string, value: string): void => {
    own.set(name, value)
    known.set(name, value)
  }
  for (const source of container.envFrom ?? []) {
    for (const [key, value] of await reader.all(source, signal)) set(`${source.prefix ?? ''}${key}`, value)
  }
  for (const variable of container.env ?? []) {
    const value = variable.value
      ? expandVariables(variable.value, known)
      : await sourceValue(variable.valueFrom, { input, reader }, signal)
    if (value !== undefined) set(variable.name, value)
  }
  for (const [name, value] of services) if (!own.has(name)) own.set(name, value)
  return [...own].map(([key, value]) => ({ key, value }))
}

// The variables of the Service `kubernetes`; in-cluster clients need them, so they are always there.
const masterVariable =
  /^KUBERNETES_(SERVICE_HOST|SERVICE_PORT(_[^_]+)*|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/

function serviceVariables(all: ReadonlyMap<string, string>, pod: Pod): ReadonlyMap<string, string> {
  if (pod.spec?.enableServiceLinks !== false) return all
  return new Map([...all].filter(([name]) => masterVariable.test(name)))
}

/** 1.34+ */
interface FileKeyReference {
  readonly volumeName: string
  readonly path: string
  readonly key: string
  readonly optional?: boolean
}

/** Undefined: optional and missing, so that the variable is not set at all. */
async function sourceValue(
  source: EnvVarSource | undefined,
  { input, reader }: { readonly input: EnvironmentInput; readonly reader: DataReader },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { pod, container, podIps, sources } = input
  if (!source) return ''
  if (source.fieldRef) return podField({ pod, podIps, node: sources.node }, source.fieldRef.fieldPath)
  if (source.resourceFieldRef) {
    return resourceField(source.resourceFieldRef, { pod, node: sources.node, own: container })
  }
  if (source.configMapKeyRef) {
    return await reader.key({ kind: 'ConfigMap', ...source.configMapKeyRef }, signal)
  }
  if (source.secretKeyRef) return await reader.key({ kind: 'Secret', ...source.secretKeyRef }, signal)
  if (source.fileKeyRef) return await fileValue(source.fileKeyRef, input)
  throw new SpillwayError(
    'Unsupported',
    `env valueFrom ${Object.keys(source).join(', ')} is not supported here`,
  )
}

/** What an init container wrote into a volume for the others. Also of an optional key the file has to be there. */
async function fileValue(
  { volumeName, path, key, optional }: FileKeyReference,
  { pod, podDir }: EnvironmentInput,
): Promise<string | undefined> {
  // The API server takes no other kind of volume.
  const volume = pod.spec?.volumes?.find(({ name, emptyDir }) => name === volumeName && emptyDir)
  if (!volume) throw missing(`cannot find the volume "${volumeName}" referenced by FileKeyRef`)
  let value: string | undefined
  try {
    value = envFileValue(await readEnvFile(volumeDirectory(volume, podDir), path), key)
  } catch (error) {
    throw missing("couldn't parse env file", error)
  }
  if (value !== undefined || optional) return value
  throw missing(`environment variable key "${key}" not found in file "${path}"`)
}

interface DataReference {
  readonly kind: 'ConfigMap' | 'Secret'
  readonly name?: string
  readonly optional?: boolean
}

/** Reads each ConfigMap and Secret once, so that one environment never mixes two versions of it. */
class DataReader {
  readonly #input: EnvironmentInput
  readonly #read = new Map<string, Data | undefined>()

  constructor(input: EnvironmentInput) {
    this.#input = input
  }

  /** Everything in it; nothing when it is optional and missing. */
  async all({ configMapRef, secretRef }: EnvFromSource, signal: AbortSignal): Promise<Data> {
    if (configMapRef) return (await this.#data({ kind: 'ConfigMap', ...configMapRef }, signal)) ?? new Map()
    if (secretRef) return (await this.#data({ kind: 'Secret', ...secretRef }, signal)) ?? new Map()
    return new Map()
  }

  /** Undefined when it is optional and missing. */
  async key(
    reference: DataReference & { readonly key: string },
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { kind, name = '', key, optional } = reference
    const value = (await this.#data(reference, signal))?.get(key)
    if (value !== undefined || optional) return value
    throw missing(`couldn't find key ${key} in ${kind} ${this.#input.pod.metadata?.namespace ?? ''}/${name}`)
  }

  async #data({ kind, name = '', optional }: DataReference, signal: AbortSignal): Promise<Data | undefined> {
    const id = `${kind} ${name}`
    if (!this.#read.has(id)) this.#read.set(id, await this.#load(kind, name, signal))
    const data = this.#read.get(id)
    if (!data && !optional) throw missing(`${kind.toLowerCase()} "${name}" not found`)
    return data
  }

  async #load(kind: DataReference['kind'], name: string, signal: AbortSignal): Promise<Data | undefined> {
    const { sources } = this.#input
    if (kind === 'ConfigMap') {
      // Binary data never becomes a variable.
      const found = await sources.configMap(name, signal)
      return found && new Map(Object.entries(found.data ?? {}))
    }
    const found = await sources.secret(name, signal)
    return found && new Map([...secretData(found)].map(([key, bytes]) => [key, bytes.toString()]))
  }
}

function missing(message: string, cause?: unknown): SpillwayError {
  return new SpillwayError('NotFound', message, { reason: 'CreateContainerConfigError', cause })
}
