import type { KubeApi, Resource } from '../kube/api.ts'
import type { Clock } from '../model/clock.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { publishFolder } from './publish-folder.ts'
import { waitUntil } from './wait-until.ts'

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

const definitions: Resource<Definition> = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
}

/** Applies deploy/crds and waits until the API server serves what they define. */
export async function publishDefinitions(client: KubeApi, clock: Clock, signal: AbortSignal): Promise<void> {
  for (const name of await publishFolder(client, 'crds', [definitions], signal)) {
    await waitUntil(
      async (inner) => ((await isServed(client, name, inner)) ? true : undefined),
      { condition: `the API server serves ${name}`, timeoutMs: 30_000, clock },
      signal,
    )
  }
}

async function isServed(client: KubeApi, name: string, signal: AbortSignal): Promise<boolean> {
  const { status } = await client.get(definitions, { name }, signal)
  return status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True') ?? false
}
