import type { PoolConfig } from '../config/pool.ts'
import { profileRefusal } from '../lifecycle/security-profile.ts'
import { handlerRefusal, refusalSentence, unsupportedUses } from '../lifecycle/unsupported.ts'
import type { Pod } from '../model/kubernetes.ts'
import type { PriceBook } from '../model/price-book.ts'
import { chooseSpec } from '../model/spec.ts'
import { rateOfPod } from '../billing/rate.ts'
import type { OverflowPool, OverflowRules } from '../scheduling/decide-overflow.ts'
import { defaultOverflowRules } from '../scheduling/overflow.ts'
import type { BackendStack } from './backend-stack.ts'
import type { House } from './house.ts'

/** The rules of overflow over all pools of now: of who sends Pods out, and of who explains it. */
export function overflowRules(house: House, stacks: readonly BackendStack[]): OverflowRules {
  const pools = house.pools.configs().map((pool) => overflowPool(house, stacks, pool))
  return { ...defaultOverflowRules, pools, bursts: house.bursts }
}

function overflowPool(
  { cluster, books }: House,
  stacks: readonly BackendStack[],
  pool: PoolConfig,
): OverflowPool {
  const backend = stacks.find(({ name }) => name === pool.backend)?.backend
  return {
    name: pool.name,
    budget: pool.budget,
    rate: (pod, atMs) => {
      const book = books.get(pool.priceBook)
      return book && rateOfPod(pod, book, atMs, pool)
    },
    refuses: (pod) => {
      const capabilities = backend?.capabilities()
      if (!capabilities) return `backend ${pool.backend} is not there`
      const [missing] = unsupportedUses(pod, capabilities)
      if (missing) return refusalSentence(missing, capabilities)
      const runtimeClass = cluster.runtimeClasses.get({ name: pod.spec?.runtimeClassName ?? '' })
      return (
        profileRefusal(pod, pool.security, pool.name) ??
        handlerRefusal(runtimeClass, pool.sandbox, capabilities) ??
        sizeRefusal(pod, books.get(pool.priceBook))
      )
    },
  }
}

/** Who comes by hand all the same is billed at what it asks for. */
function sizeRefusal(pod: Pod, book: PriceBook | undefined): string | undefined {
  const choice = book && chooseSpec(pod, book)
  return choice?.ok === false ? `price book ${book?.id} has no size for it: ${choice.error}` : undefined
}
