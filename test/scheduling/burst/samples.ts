import type { BurstPolicyKind } from '../../../src/config/burst-policy.ts'
import { rational } from '../../../src/model/money.ts'
import { burstPolicyOf, type BurstPolicy } from '../../../src/scheduling/burst/burst-policy.ts'
import type { Rate } from '../../../src/scheduling/burst/spend.ts'

export interface PolicySample {
  readonly kind?: BurstPolicyKind
  readonly namespace?: string
  readonly created?: string
  readonly spec?: object
}

/** A policy of namespace shop, unless it says otherwise. */
export function policySample(name: string, sample: PolicySample = {}): BurstPolicy {
  const { kind = 'BurstPolicy', namespace = 'shop', created = '2026-01-01T00:00:00Z', spec = {} } = sample
  return burstPolicyOf(kind, {
    metadata: {
      name,
      ...(kind === 'BurstPolicy' && { namespace }),
      uid: `uid-of-${name}`,
      generation: 1,
      creationTimestamp: created,
    },
    spec,
  })
}

/** So many dollars an hour, exactly. */
export function dollars(perHour: bigint, den = 1n): Rate {
  return { currency: 'USD', perHour: rational(perHour, den), roundingNanos: 0n }
}
