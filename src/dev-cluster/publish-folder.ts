import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { KubeApi, Resource } from '../kube/api.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { ensureObject } from './ensure-object.ts'

/** Applies every object of a folder of deploy/, as people do on a cluster of theirs. Answers their names. */
export async function publishFolder(
  client: KubeApi,
  folder: string,
  resources: readonly Resource<KubeObject>[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const path = join(import.meta.dirname, '../../deploy', folder)
  const names: string[] = []
  for (const file of await readdir(path)) {
    for (const document of parseAllDocuments(await readFile(join(path, file), 'utf8'))) {
      const object = document.toJS() as KubeObject
      const resource = resources.find(({ kind }) => kind === object.kind)
      if (!resource) throw new Error(`${file} has an object of an unexpected kind: ${object.kind}`)
      await ensureObject(client, resource, object, signal)
      names.push(object.metadata?.name ?? '')
    }
  }
  return names
}
