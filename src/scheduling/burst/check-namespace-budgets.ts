import type { Namespace } from '../../model/kubernetes.ts'
import { namespaceBudget } from './namespace-budget.ts'

/** Namespaces whose budget cannot be read: nothing new starts there on virtual nodes. */
export function checkNamespaceBudgets(namespaces: readonly Namespace[]): readonly {
  readonly level: 'problem'
  readonly finding: string
  readonly remedy: string
}[] {
  return namespaces.flatMap((home) =>
    (namespaceBudget(home)?.problems ?? []).map((problem) => ({
      level: 'problem' as const,
      finding: `Namespace ${home.metadata?.name}: ${problem}`,
      remedy: 'mend the annotation: until then no more of its Pods start on virtual nodes',
    })),
  )
}
