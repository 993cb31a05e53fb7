import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, Metadata, type Client } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Clock } from '../../../model/clock.ts'
import { hasCode } from '../../../model/errors.ts'
import { runtimeSentence } from './errors.ts'
import { unaryCall } from './unary-call.ts'

const protoFile = fileURLToPath(new URL('../../../../proto/containerd-tasks.proto', import.meta.url))
// containerd's CRI plugin keeps everything in this namespace.
const namespace = 'k8s.io'
const requestMs = 30_000
const sigkill = 9

/**
 * The container whose task stands in the way of a removal; undefined when the removal failed of something else.
 *
 * When a StartContainer is broken off while the task is being made (its client was killed), containerd 2.4.2 takes the
 * container for exited, and the task that is there in the end belongs to nobody: the CRI neither stops it, since it
 * only stops what runs, nor removes its container or sandbox, until containerd is restarted.
 */
export function leftOverTask(error: unknown): string | undefined {
  return /cannot delete running task ([\w.-]+): failed precondition/.exec(runtimeSentence(error))?.[1]
}

/** containerd's own task service, on the socket of its CRI: only for what the CRI has no call for. */
export class ContainerdTasks {
  readonly #client: Client
  readonly #clock: Clock

  constructor({ socket, clock }: { readonly socket: string; readonly clock: Clock }) {
    const { containerd } = loadPackageDefinition(loadSync(protoFile)) as unknown as {
      containerd: {
        services: {
          tasks: { v1: { Tasks: new (address: string, creds: unknown, options: object) => Client } }
        }
      }
    }
    const options = { 'grpc.default_authority': 'localhost' }
    const { Tasks } = containerd.services.tasks.v1
    this.#client = new Tasks(`unix:${socket}`, credentials.createInsecure(), options)
    this.#clock = clock
  }

  close(): void {
    this.#client.close()
  }

  /** Kills a task and removes it; resolves as well when there is none. */
  async end(containerId: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call('Kill', { containerId, signal: sigkill, all: true }, signal)
      await this.#call('Wait', { containerId }, signal)
      await this.#call('Delete', { containerId }, signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
      // Ended by itself, or not yet started: there may still be something to remove.
      await this.#call('Delete', { containerId }, signal).catch((failure: unknown) => {
        if (!hasCode(failure, 'NotFound')) throw failure
      })
    }
  }

  #call(method: string, request: object, signal: AbortSignal): Promise<unknown> {
    const metadata = new Metadata()
    metadata.set('containerd-namespace', namespace)
    const call = { method, request, timeoutMs: requestMs, metadata, clock: this.#clock }
    return unaryCall(this.#client, call, signal)
  }
}
