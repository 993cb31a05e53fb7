import { readFile, rename, writeFile } from 'node:fs/promises'
import type { CertificateFiles } from './pki.ts'

export interface KubeconfigOptions {
  /** As in `https://10.200.1.2:6443`. */
  readonly server: string
  /** Cluster, user and context are all called so. */
  readonly name: string
  readonly caFile: string
  readonly client: CertificateFiles
}

/**
 * Writes a kubeconfig with everything inline (it can be copied elsewhere and still works), readable by its owner
 * only. JSON is YAML: every reader of kubeconfigs takes it.
 */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  const inline = async (file: string): Promise<string> => (await readFile(file)).toString('base64')
  const { server, name } = options
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': await inline(options.caFile) } }],
    users: [
      {
        name,
        user: {
          'client-certificate-data': await inline(options.client.certFile),
          'client-key-data': await inline(options.client.keyFile),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  // Through a second file, so that nobody reads half of it, and so that the mode holds for a file that existed.
  const partial = `${path}.partial`
  await writeFile(partial, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  await rename(partial, path)
}
