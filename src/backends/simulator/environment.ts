import type { Container, Pod } from '../../model/kubernetes.ts'
import { expandVariables } from '../../lifecycle/expand-variables.ts'
import type { PodSources } from '../backend.ts'

export interface EnvironmentInput {
  readonly pod: Pod
  readonly container: Pick<Container, 'env' | 'envFrom'>
  readonly podIp: string
  readonly sources: PodSources
}

/** The container's variables, or why they cannot be had yet, in kubelet's words. */
export type Environment = { readonly variables: ReadonlyMap<string, string> } | { readonly problem: string }

type Variable = NonNullable<Container['env']>[number]
type Reader = (name: string, signal: AbortSignal) => Promise<Readonly<Record<string, string>> | undefined>

/**
 * Enough of an environment for a script's `print` and for Pods that wait for their ConfigMaps and Secrets. Nothing here
 * is run, so Service variables are left out and fields that need a real container are empty.
 */
export async function resolveEnvironment(input: EnvironmentInput, signal: AbortSignal): Promise<Environment> {
  const { container, sources } = input
  const variables = new Map<string, string>()
  const readers: Readonly<Record<'configmap' | 'secret', Reader>> = {
    configmap: async (name) => (await sources.configMap(name, signal))?.data ?? undefined,
    secret: async (name) => decoded((await sources.secret(name, signal))?.data),
  }
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef
    if (!reference?.name) continue
    const kind = configMapRef ? 'configmap' : 'secret'
    const data = await readers[kind](reference.name, signal)
    if (!data && !reference.optional) return { problem: `${kind} "${reference.name}" not found` }
    for (const [key, value] of Object.entries(data ?? {})) variables.set(prefix + key, value)
  }
  for (const variable of container.env ?? []) {
    const value = await resolveVariable(variable, { ...input, variables, readers }, signal)
    if (typeof value === 'object') return value
    if (value !== undefined) variables.set(variable.name, value)
  }
  return { variables }
}

interface VariableInput extends EnvironmentInput {
  readonly variables: ReadonlyMap<string, string>
  readonly readers: Readonly<Record<'configmap' | 'secret', Reader>>
}

async function resolveVariable(
  { value, valueFrom }: Variable,
  input: VariableInput,
  signal: AbortSignal,
): Promise<string | undefined | { readonly problem: string }> {
  if (!valueFrom) return expandVariables(value ?? '', input.variables)
  if (valueFrom.fieldRef) return fieldValue(valueFrom.fieldRef.fieldPath, input)
  const reference = valueFrom.configMapKeyRef ?? valueFrom.secretKeyRef
  if (!reference?.name) return ''
  const kind = valueFrom.configMapKeyRef ? 'configmap' : 'secret'
  const data = await input.readers[kind](reference.name, signal)
  const found = data?.[reference.key]
  if (found !== undefined || reference.optional) return found
  if (!data) return { problem: `${kind} "${reference.name}" not found` }
  const { namespace } = input.pod.metadata ?? {}
  const what = kind === 'configmap' ? 'ConfigMap' : 'Secret'
  return { problem: `couldn't find key ${reference.key} in ${what} ${namespace}/${reference.name}` }
}

function fieldValue(path: string, { pod, podIp, sources }: EnvironmentInput): string {
  const { name = '', namespace = '', uid = '' } = pod.metadata ?? {}
  const values: Readonly<Record<string, string>> = {
    'metadata.name': name,
    'metadata.namespace': namespace,
    'metadata.uid': uid,
    'spec.nodeName': sources.node.name,
    'spec.serviceAccountName': pod.spec?.serviceAccountName ?? 'default',
    'status.hostIP': sources.node.ips[0] ?? '',
    'status.podIP': podIp,
    'status.podIPs': podIp,
  }
  return values[path] ?? ''
}

function decoded(
  data: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (!data) return undefined
  const text = (value: string): string => Buffer.from(value, 'base64').toString('utf8')
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, text(value)]))
}
