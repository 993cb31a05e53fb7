import type { PoolConfig } from '../config/pool.ts'
import { capabilitiesIn, podSandbox } from '../lifecycle/pod-sandbox.ts'
import { profileRefusal } from '../lifecycle/security-profile.ts'
import { refusalSentence, unsupportedUses } from '../lifecycle/unsupported.ts'
import type { Pod, RuntimeClass } from '../model/kubernetes.ts'
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
      const question = { choice: pool.sandbox, runtimeClass: classOf(pod, cluster) }
      const sandbox = podSandbox({ ...question, capabilities })
      const offered = sandbox.ok ? capabilitiesIn(sandbox.handler, capabilities) : capabilities
      const [missing] = unsupportedUses(pod, offered)
      if (missing) return refusalSentence(missing, offered)
      const forbidden = profileRefusal(pod, pool.security, pool.name)
      if (forbidden !== undefined) return forbidden
      return sandbox.ok ? sizeRefusal(pod, books.get(pool.priceBook)) : sandbox.why
    },
  }
}

/** Undefined also when it names one that is not there: its sandbox will wait for it. */
export function classOf({ spec }: Pod, { runtimeClasses }: House['cluster']): RuntimeClass | undefined {
  return spec?.runtimeClassName ? runtimeClasses.get({ name: spec.runtimeClassName }) : undefined
}

/** Who comes by hand all the same is billed at what it asks for. */
function sizeRefusal(pod: Pod, book: PriceBook | undefined): string | undefined {
  const choice = book && chooseSpec(pod, book)
  return choice?.ok === false ? `price book ${book?.id} has no size for it: ${choice.error}` : undefined
}
