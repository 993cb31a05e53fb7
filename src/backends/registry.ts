import { SpillwayError } from '../model/errors.ts'
import type { Clock } from '../model/clock.ts'
import type { KnownDoors } from '../model/node-door.ts'
import type { Log } from '../telemetry/log.ts'
import type { Backend } from './backend.ts'

export interface BackendSettings {
  readonly name: string
  readonly kind: string
  /** Checked by the kind's own schema. */
  readonly options: unknown
  /** What marks everything that the backend makes. */
  readonly owner: { readonly clusterUid: string; readonly instance: string }
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Where the cluster's kubelets answer: nothing for Pods. */
  readonly doors?: KnownDoors
}

/**
 * Makes the backend of a kind. Rejects with ConfigInvalid naming the wrong field of its options. Only the kind that is
 * used is loaded: gRPC alone costs more memory than the rest of the house.
 */
export async function createBackend(settings: BackendSettings): Promise<Backend> {
  const { name, kind, options, clock } = settings
  switch (kind) {
    case 'cri': {
      const { createCriBackend } = await import('./cri/backend.ts')
      return await createCriBackend(settings)
    }
    case 'simulator': {
      const { SimulatorBackend } = await import('./simulator/backend.ts')
      const { SimulatedWorld } = await import('./simulator/world.ts')
      return new SimulatorBackend({ name, world: new SimulatedWorld({ options, clock }) })
    }
    default:
      throw new SpillwayError(
        'ConfigInvalid',
        `backends: "${name}" has kind "${kind}"; allowed: cri, simulator`,
      )
  }
}
