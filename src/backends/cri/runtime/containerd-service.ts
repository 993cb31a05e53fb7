import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, Metadata, type Client } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Clock } from '../../../model/clock.ts'
import { unaryCall } from './unary-call.ts'

// containerd's CRI plugin keeps everything in this namespace.
const namespace = 'k8s.io'

type Constructor = new (address: string, creds: unknown, options: object) => Client

export interface ContainerdServiceOptions {
  readonly socket: string
  readonly clock: Clock
}

/** One of containerd's own services, on the socket of its CRI: only for what the CRI has no call for, or none that is fast. */
export class ContainerdService {
  readonly #client: Client
  readonly #clock: Clock

  /** `proto` is a file in `proto/`, `name` the service's full one, as in `containerd.services.tasks.v1.Tasks`. */
  constructor(
    { proto, name }: { readonly proto: string; readonly name: string },
    { socket, clock }: ContainerdServiceOptions,
  ) {
    const file = fileURLToPath(new URL(`../../../../proto/${proto}`, import.meta.url))
    const found = name
      .split('.')
      .reduce<unknown>(
        (inner, part) => (inner as Readonly<Record<string, unknown>>)[part],
        loadPackageDefinition(loadSync(file)),
      )
    const options = { 'grpc.default_authority': 'localhost' }
    this.#client = new (found as Constructor)(`unix:${socket}`, credentials.createInsecure(), options)
    this.#clock = clock
  }

  close(): void {
    this.#client.close()
  }

  async call<Answer>(
    method: string,
    { request, timeoutMs }: { readonly request: object; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<Answer> {
    const metadata = new Metadata()
    metadata.set('containerd-namespace', namespace)
    return await unaryCall(this.#client, { method, request, timeoutMs, metadata, clock: this.#clock }, signal)
  }
}
