import { readFile } from 'node:fs/promises'
import type { NodeIdentity } from '../config/load.ts'
import { explicitCredentials, type Credentials, type Impersonation } from '../kube/credentials.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'

export interface NodeCredentialsOptions {
  readonly identity: NodeIdentity
  readonly nodeName: string
  /** The controller's, for the server's address and authority. */
  readonly controller: Credentials
  /** The controller's, acting as somebody else. */
  readonly impersonate: (impersonation: Impersonation) => Promise<Credentials>
}

/**
 * Who a virtual node is to the API server: `system:node:<name>`, so that the Node authorizer and NodeRestriction hold
 * it to its own Node, its Pods, and what those refer to. Rejects with ConfigInvalid naming the file.
 */
export async function nodeCredentials(options: NodeCredentialsOptions): Promise<Credentials> {
  const { identity, nodeName, controller, impersonate } = options
  if (identity.kind === 'impersonate') {
    return await impersonate({
      user: `system:node:${nodeName}`,
      groups: ['system:nodes', 'system:authenticated'],
    })
  }
  const cert = await readPem('nodeIdentity.clientCertificate', nodeFile(identity.clientCertificate, nodeName))
  const key = await readPem('nodeIdentity.clientKey', nodeFile(identity.clientKey, nodeName))
  return explicitCredentials({ server: controller.server, ca: controller.ca ?? '', cert, key })
}

/** `{node}` in a path stands for the node's name. */
export function nodeFile(path: string, nodeName: string): string {
  return path.replaceAll('{node}', nodeName)
}

async function readPem(field: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new SpillwayError('ConfigInvalid', `${field}: ${path} cannot be read: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}
