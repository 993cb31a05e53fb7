import { Type } from 'typebox'
import { conditionsSchema } from '../config/conditions-schema.ts'
import { customResourceDefinition, type CustomResourceDefinition } from '../config/custom-resource.ts'
import { longestPoolName, poolSpecSchema } from '../config/pool-schema.ts'
import { spendStatusSchema } from '../config/spend-status-schema.ts'

const statusSchema = Type.Object({
  observedGeneration: Type.Optional(
    Type.Integer({ format: 'int64', description: 'of the spec that this is about' }),
  ),
  instance: Type.Optional(Type.String({ description: 'clusterName of the Spillway that has taken it' })),
  replicas: Type.Optional(
    Type.Integer({ description: 'nodes there, those included that are on their way out' }),
  ),
  readyReplicas: Type.Optional(Type.Integer({ description: 'nodes that are Ready' })),
  retiringReplicas: Type.Optional(Type.Integer({ description: 'nodes that are being emptied, and go then' })),
  pods: Type.Optional(Type.Integer({ description: 'Pods on its nodes that have not ended' })),
  selector: Type.Optional(Type.String({ description: 'of its Nodes, for the scale subresource' })),
  budget: Type.Optional(spendStatusSchema),
  conditions: Type.Optional(conditionsSchema),
})

/** deploy/crds/virtualnodepools.yaml; a test keeps the two the same. */
export function poolDefinition(): CustomResourceDefinition {
  return customResourceDefinition({
    kind: 'VirtualNodePool',
    plural: 'virtualnodepools',
    singular: 'virtualnodepool',
    shortNames: ['vnp'],
    scope: 'Cluster',
    description: 'Virtual nodes of one kind: Nodes with no server behind them, whose Pods run on a backend.',
    spec: poolSpecSchema,
    status: statusSchema,
    rules: [
      {
        rule: `self.metadata.name.size() <= ${longestPoolName} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,
        messageExpression: `'found name ' + self.metadata.name + '; allowed: at most ${longestPoolName} characters of a-z, 0-9 and -, since its nodes are called <name>-<ordinal>'`,
      },
    ],
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
    columns: [
      { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas' },
      { name: 'Nodes', type: 'integer', jsonPath: '.status.replicas' },
      { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
      { name: 'Pods', type: 'integer', jsonPath: '.status.pods' },
      { name: 'State', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
      { name: 'Budget', type: 'string', jsonPath: '.status.budget.summary' },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
      { name: 'Backend', type: 'string', jsonPath: '.spec.backend', priority: 1 },
      { name: 'Price book', type: 'string', jsonPath: '.spec.priceBook', priority: 1 },
      { name: 'Retiring', type: 'integer', jsonPath: '.status.retiringReplicas', priority: 1 },
      {
        name: 'Message',
        type: 'string',
        jsonPath: ".status.conditions[?(@.type=='Ready')].message",
        priority: 1,
      },
    ],
  })
}
