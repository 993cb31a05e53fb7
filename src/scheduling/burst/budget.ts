import type { SpendCaps } from '../../config/spend-caps.ts'
import type { Namespace } from '../../model/kubernetes.ts'
import { selects, type BurstPolicy, type Selected } from './burst-policy.ts'
import { namespaceBudget } from './namespace-budget.ts'

/** A limit on what some Pods cost together on virtual nodes, whoever has set it. */
export interface Budget {
  /** UID of a policy; of others what `title` says. */
  readonly id: string
  readonly owner: BudgetOwner
  /** As people call it: `BurstPolicy shop/batch`, `the budget of pool burst`. */
  readonly title: string
  readonly caps: SpendCaps
  /** Why what was written cannot be read; then nothing new starts under it. */
  readonly problems: readonly string[]
}

export type BudgetOwner =
  | { readonly kind: 'policy'; readonly policy: BurstPolicy }
  | { readonly kind: 'pool'; readonly name: string }
  | { readonly kind: 'namespace'; readonly name: string }

/** Whose cost may count: of a Pod that is there, or that the ledger remembers. */
export interface Spender extends Selected {
  /** Where it is or was, or may go. */
  readonly pools: readonly string[]
}

export interface BudgetSources {
  readonly policies: readonly BurstPolicy[]
  readonly pools: readonly { readonly name: string; readonly budget?: SpendCaps | undefined }[]
  readonly namespaces: ReadonlyMap<string, Namespace>
}

export function poolBudgetId(pool: string): string {
  return `the budget of pool ${pool}`
}

/** All budgets, and whose they are. */
export class Budgets {
  readonly all: readonly Budget[]
  readonly #policies: readonly { readonly policy: BurstPolicy; readonly budget: Budget }[]
  readonly #pools: ReadonlyMap<string, Budget>
  readonly #namespaces: ReadonlyMap<string, Budget>

  constructor({ policies, pools, namespaces }: BudgetSources) {
    this.#policies = policies.flatMap((policy) => {
      const caps = policy.spec.spend
      if (!caps) return []
      const owner = { kind: 'policy', policy } as const
      return [{ policy, budget: { id: policy.uid, owner, title: policy.title, caps, problems: [] } }]
    })
    this.#pools = new Map(
      pools.flatMap(({ name, budget: caps }) => {
        const id = poolBudgetId(name)
        return caps ? [[name, { id, owner: { kind: 'pool', name }, title: id, caps, problems: [] }]] : []
      }),
    )
    this.#namespaces = new Map(
      [...namespaces].flatMap(([name, home]): [string, Budget][] => {
        const found = namespaceBudget(home)
        if (!found) return []
        const id = `the budget of namespace ${name}`
        const { caps = nothingReadable, problems } = found
        return [[name, { id, owner: { kind: 'namespace', name }, title: id, caps, problems }]]
      }),
    )
    this.all = [
      ...this.#policies.map(({ budget }) => budget),
      ...this.#pools.values(),
      ...this.#namespaces.values(),
    ]
  }

  /** Those that the Pod's cost counts for: policies first. */
  of(spender: Spender, home: Namespace | undefined): readonly Budget[] {
    if (this.all.length === 0) return []
    const found = this.#policies.flatMap(({ policy, budget }) =>
      selects(policy, spender, home) ? [budget] : [],
    )
    for (const pool of spender.pools) {
      const budget = this.#pools.get(pool)
      if (budget) found.push(budget)
    }
    const own = this.#namespaces.get(spender.namespace)
    if (own) found.push(own)
    return found
  }
}

const nothingReadable: SpendCaps = { currency: '', nanos: {}, warnAtPercent: 100, atCap: 'StopNew' }
