import { parseAllDocuments } from 'yaml'
import { SpillwayError } from '../model/errors.ts'
import type { Pod } from '../model/kubernetes.ts'

interface Manifest {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly uid?: string }
  readonly items?: readonly Manifest[]
  readonly spec?: {
    readonly template?: Pod
    readonly jobTemplate?: { readonly spec?: { readonly template?: Pod } }
  }
}

/** Who owns the Pods of a kind, where that is another kind. */
const owners: Readonly<Record<string, string>> = { Deployment: 'ReplicaSet', CronJob: 'Job' }

/**
 * The Pods that the manifests of a file would make, one of each workload, as their controllers make them: from its
 * template, owned by its kind. Usage: the file is no YAML, or none of its objects makes Pods.
 */
export function podsOfManifests(text: string, { file, namespace }: ManifestPlace): readonly Pod[] {
  const documents = parseAllDocuments(text)
  for (const { errors } of documents) {
    if (errors[0]) throw new SpillwayError('Usage', `${file}: ${errors[0].message}`)
  }
  const manifests = documents.flatMap((document) => itemsOf(document.toJS() as Manifest | null))
  const pods = manifests.flatMap((manifest) => podOf(manifest, namespace) ?? [])
  if (pods.length > 0) return pods
  const kinds = manifests.map(({ kind }) => kind ?? 'an object without kind').join(', ') || 'nothing'
  throw new SpillwayError('Usage', `${file}: found ${kinds}; allowed: a Pod, or what has a Pod template`)
}

export interface ManifestPlace {
  readonly file: string
  /** Of objects that state none. */
  readonly namespace: string
}

function itemsOf(manifest: Manifest | null): readonly Manifest[] {
  if (!manifest) return []
  return manifest.kind?.endsWith('List') ? (manifest.items ?? []) : [manifest]
}

function podOf(manifest: Manifest, fallback: string): Pod | undefined {
  const { kind = '', metadata, spec } = manifest
  const { name = '', namespace = fallback } = metadata ?? {}
  if (kind === 'Pod') return { ...(manifest as Pod), metadata: { ...(manifest as Pod).metadata, namespace } }
  const template = spec?.template ?? spec?.jobTemplate?.spec?.template
  if (!template?.spec) return undefined
  const owner = { apiVersion: manifest.apiVersion ?? '', kind: owners[kind] ?? kind, name, controller: true }
  return {
    metadata: {
      ...template.metadata,
      name: `${name}-…`,
      namespace,
      ownerReferences: [{ ...owner, uid: metadata?.uid ?? '' }],
    },
    spec: template.spec,
  }
}
