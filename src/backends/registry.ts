import { SpillwayError } from '../model/errors.ts'
import type { Clock } from '../model/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Backend } from './backend.ts'
import { createCriBackend } from './cri/backend.ts'
import { SimulatorBackend } from './simulator/backend.ts'
import { SimulatedWorld } from './simulator/world.ts'

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
}

/** Makes the backend of a kind. Throws ConfigInvalid naming the wrong field of its options. */
export function createBackend(settings: BackendSettings): Backend {
  const { name, kind, options, clock } = settings
  switch (kind) {
    case 'cri':
      return createCriBackend(settings)
    case 'simulator':
      return new SimulatorBackend({ name, world: new SimulatedWorld({ options, clock }) })
    default:
      throw new SpillwayError(
        'ConfigInvalid',
        `backends: "${name}" has kind "${kind}"; allowed: cri, simulator`,
      )
  }
}
