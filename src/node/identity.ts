import { readFile } from 'node:fs/promises'
import type { NodeIdentity } from '../config/load.ts'
import { explicitCredentials, type Credentials, type Impersonation } from '../kube/credentials.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { PemPair } from '../model/pem-pair.ts'
import { nodesGroup, nodeUser } from './certificates/purpose.ts'

export interface NodeCredentialsOptions {
  readonly identity: NodeIdentity
  readonly nodeName: string
  /** The controller's, for the server's address and authority. */
  readonly controller: Credentials
  /** The controller's, acting as somebody else. */
  readonly impersonate: (impersonation: Impersonation) => Promise<Credentials>
  /** With identity `csr`: the certificate as it comes, and comes anew. */
  readonly certificate: AwaitedCertificate
}

/**
 * Who a virtual node is to the API server: `system:node:<name>`, so that the Node authorizer and NodeRestriction hold
 * it to its own Node, its Pods, and what those refer to. Rejects with ConfigInvalid naming the file.
 */
export async function nodeCredentials(options: NodeCredentialsOptions): Promise<Credentials> {
  const { identity, nodeName, controller, impersonate, certificate } = options
  switch (identity.kind) {
    case 'impersonate':
      return await impersonate({
        user: nodeUser(nodeName),
        groups: [nodesGroup, 'system:authenticated'],
      })
    case 'csr':
      return {
        ...controller,
        identity: async (signal) => ({ headers: {}, certificate: await certificate.get(signal) }),
        refused: () => undefined,
      }
    case 'certificate': {
      const { clientCertificate, clientKey } = identity
      const cert = await readPem('nodeIdentity.clientCertificate', nodeFile(clientCertificate, nodeName))
      const key = await readPem('nodeIdentity.clientKey', nodeFile(clientKey, nodeName))
      return explicitCredentials({ server: controller.server, ca: controller.ca ?? '', cert, key })
    }
  }
}

/** A certificate that is on its way, and later is replaced: whoever needs it waits for the first. */
export class AwaitedCertificate {
  #current: PemPair | undefined
  readonly #first = Promise.withResolvers<PemPair>()

  set(pair: PemPair): void {
    this.#current = pair
    this.#first.resolve(pair)
  }

  async get(signal: AbortSignal): Promise<PemPair> {
    if (this.#current) return this.#current
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(signal.reason as Error)
    signal.throwIfAborted()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([this.#first.promise, aborted])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
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
