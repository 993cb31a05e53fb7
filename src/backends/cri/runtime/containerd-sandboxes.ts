import { cniInterfacesInMetadata, type CniInterfaces } from './cni-interfaces.ts'
import { ContainerdService, type ContainerdServiceOptions } from './containerd-service.ts'

// It is read from memory; who is not answered asks the CRI.
const requestMs = 1_000

interface StoredSandbox {
  readonly sandbox?: { readonly extensions?: Readonly<Record<string, { readonly value?: Uint8Array }>> }
}

/** containerd's own store of sandboxes. */
export class ContainerdSandboxes {
  readonly #service: ContainerdService

  constructor(options: ContainerdServiceOptions) {
    const store = { proto: 'containerd-sandboxes.proto', name: 'containerd.services.sandbox.v1.Store' }
    this.#service = new ContainerdService(store, options)
  }

  close(): void {
    this.#service.close()
  }

  /** What its CRI plugin keeps of the CNI plugins' result; undefined where it keeps none in a form that we know. */
  async cniInterfaces(sandboxId: string, signal: AbortSignal): Promise<CniInterfaces | undefined> {
    const request = { sandboxId }
    const { sandbox } = await this.#service.call<StoredSandbox>(
      'Get',
      { request, timeoutMs: requestMs },
      signal,
    )
    const { value } = sandbox?.extensions?.['metadata'] ?? {}
    return value && cniInterfacesInMetadata(Buffer.from(value).toString())
  }
}
