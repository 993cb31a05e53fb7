import { Type, type TSchema } from 'typebox'
import { burstPolicySpecSchema, clusterBurstPolicySpecSchema } from '../../config/burst-policy-schema.ts'
import { conditionsSchema } from '../../config/conditions-schema.ts'
import {
  customResourceDefinition,
  type CustomResourceDefinition,
  type PrinterColumn,
} from '../../config/custom-resource.ts'
import { spendStatusSchema } from '../../config/spend-status-schema.ts'

const count = (description: string) => Type.Optional(Type.Integer({ description }))

const statusSchema = Type.Object({
  observedGeneration: Type.Optional(
    Type.Integer({ format: 'int64', description: 'of the spec that this is about' }),
  ),
  workloads: count('workloads with a Pod that it selects and that has not ended'),
  pods: count('Pods that it selects and that have not ended'),
  virtualPods: count('of these, on virtual nodes or allowed to go there'),
  heldPods: count('of these, refused by the scheduler and kept from virtual nodes by this policy'),
  spend: Type.Optional(spendStatusSchema),
  conditions: Type.Optional(conditionsSchema),
})

const columns: readonly PrinterColumn[] = [
  { name: 'Mode', type: 'string', jsonPath: '.spec.mode' },
  { name: 'Pods', type: 'integer', jsonPath: '.status.pods' },
  { name: 'Virtual', type: 'integer', jsonPath: '.status.virtualPods' },
  { name: 'Held', type: 'integer', jsonPath: '.status.heldPods' },
  { name: 'Spend', type: 'string', jsonPath: '.status.spend.summary' },
  { name: 'State', type: 'string', jsonPath: ".status.conditions[?(@.type=='Accepted')].reason" },
  { name: 'Budget', type: 'string', jsonPath: ".status.conditions[?(@.type=='BudgetExhausted')].reason" },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Wait', type: 'integer', jsonPath: '.spec.waitSeconds', priority: 1 },
  { name: 'Max virtual', type: 'integer', jsonPath: '.spec.maxVirtualReplicas', priority: 1 },
  { name: 'Min server', type: 'integer', jsonPath: '.spec.minServerReplicas', priority: 1 },
  { name: 'Pools', type: 'string', jsonPath: '.spec.pools', priority: 1 },
  {
    name: 'Message',
    type: 'string',
    jsonPath: ".status.conditions[?(@.type=='Accepted')].message",
    priority: 1,
  },
]

/** deploy/crds/burstpolicies.yaml; a test keeps the two the same. */
export function burstPolicyDefinition(): CustomResourceDefinition {
  return customResourceDefinition({
    kind: 'BurstPolicy',
    plural: 'burstpolicies',
    singular: 'burstpolicy',
    shortNames: ['bp'],
    scope: 'Namespaced',
    description:
      'Which Pods of its namespace may go to virtual nodes: when, to which pools, how many, and for how much.',
    spec: burstPolicySpecSchema,
    ...common,
  })
}

/**
 * deploy/crds/clusterburstpolicies.yaml. A kind of its own, and not BurstPolicies of one marked namespace: who may write
 * in a namespace must not be able to set rules for others, and RBAC tells kinds apart better than names.
 */
export function clusterBurstPolicyDefinition(): CustomResourceDefinition {
  return customResourceDefinition({
    kind: 'ClusterBurstPolicy',
    plural: 'clusterburstpolicies',
    singular: 'clusterburstpolicy',
    shortNames: ['cbp'],
    scope: 'Cluster',
    description:
      'The same for namespaces that have no BurstPolicy for a Pod; its caps on spend hold for those that have one, too.',
    spec: clusterBurstPolicySpecSchema,
    ...common,
  })
}

const common: { readonly status: TSchema; readonly columns: readonly PrinterColumn[] } = {
  status: statusSchema,
  columns,
}
