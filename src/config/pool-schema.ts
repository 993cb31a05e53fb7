import { Type, type Static } from 'typebox'
import { purchaseOptions } from '../model/price-book.ts'
import { securityAllowances } from '../model/security-profile.ts'
import { labelKeyPattern, labelValuePattern, quantity } from './schema-words.ts'
import { spendCapsSchema } from './spend-caps-schema.ts'

/**
 * What is said of a pool, in the configuration file and in a VirtualNodePool alike: the file's schema and the
 * definition's are both made of this one. `x-kubernetes-validations` are for the API server; crossCheck in load.ts says
 * the same of a file.
 */
const mostNodes = 5000

export const taintSchema = Type.Object(
  {
    key: Type.String({
      pattern: labelKeyPattern,
      maxLength: 317,
      description: 'taint key; not spillway.dev/virtual-node, which is built in',
    }),
    value: Type.Optional(
      Type.String({ pattern: labelValuePattern, maxLength: 63, description: 'taint value' }),
    ),
    effect: Type.Union(
      [Type.Literal('NoSchedule'), Type.Literal('PreferNoSchedule'), Type.Literal('NoExecute')],
      { description: 'NoSchedule, PreferNoSchedule or NoExecute' },
    ),
  },
  { additionalProperties: false },
)

/** As the API server has it of RuntimeClasses. */
const handlerPattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'

const nodeCount = (description: string, minimum = 0) =>
  Type.Integer({ minimum, maximum: mostNodes, description })

const capacitySchema = Type.Object(
  {
    cpu: Type.Optional(quantity('cores per node')),
    memory: Type.Optional(quantity('memory per node')),
    ephemeralStorage: Type.Optional(quantity('local disk per node')),
    pods: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: 'Pods per node (110)' })),
  },
  {
    additionalProperties: false,
    description: 'what each node offers; left out: the backend’s capacity split evenly over its nodes',
  },
)

const autoscaleSchema = Type.Object(
  {
    minNodes: Type.Optional(nodeCount('never fewer nodes than this (1)')),
    maxNodes: nodeCount('never more nodes than this', 1),
    sparePercent: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1000,
        description:
          'room that is kept free ahead of need, in percent of one node: below it a node is added (20)',
      }),
    ),
    idleSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'an empty node that is not needed is retired after this time (600)',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'nodes are added before they are needed and retired when long empty; replicas is then written by us',
    'x-kubernetes-validations': [
      {
        rule: '!has(self.minNodes) || self.minNodes <= self.maxNodes',
        // With the numbers in it, the message would cost more than the API server allows.
        message: 'minNodes: found more than maxNodes; allowed: at most maxNodes',
        fieldPath: '.minNodes',
      },
    ],
  },
)

const securitySchema = Type.Object(
  {
    allow: Type.Optional(
      Type.Array(Type.Union(securityAllowances.map((allowance) => Type.Literal(allowance))), {
        maxItems: securityAllowances.length,
        description: `what they may have at the cost of isolation, where the backend allows it, too: ${securityAllowances.join(', ')} (none)`,
      }),
    ),
    capabilities: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Z][A-Z_]+$', maxLength: 63 }), {
        maxItems: 64,
        description:
          'Linux capabilities that containers may add beyond the usual, as in NET_ADMIN; ALL for every one (none)',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'what its Pods may ask for; left out: nothing that weakens their isolation',
  },
)

/** Fields of a pool but its name: the spec of a VirtualNodePool. */
export const poolFields = {
  // Without a default kubectl scale would find no number to compare with.
  replicas: Type.Optional(
    Type.Integer({ minimum: 0, maximum: mostNodes, default: 1, description: 'number of virtual nodes (1)' }),
  ),
  backend: Type.String({
    minLength: 1,
    maxLength: 63,
    description: 'name of the backend that its Pods run on; it cannot be changed later',
    'x-kubernetes-validations': [
      {
        rule: 'self == oldSelf',
        messageExpression:
          "'found ' + self + '; allowed: ' + oldSelf + ', since Pods cannot move between backends'",
      },
    ],
  }),
  capacity: Type.Optional(capacitySchema),
  labels: Type.Optional(
    Type.Record(Type.String(), Type.String({ maxLength: 63, pattern: labelValuePattern }), {
      maxProperties: 64,
      description: 'labels of its nodes, besides the built-in ones',
      'x-kubernetes-validations': [
        {
          rule: `self.all(key, key.size() <= 317 && key.matches(${JSON.stringify(labelKeyPattern)}))`,
          message: 'found a key that is no label key; allowed: as in example.com/tier',
        },
      ],
    }),
  ),
  taints: Type.Optional(
    Type.Array(taintSchema, {
      maxItems: 32,
      description: 'taints besides the built-in two',
      'x-kubernetes-validations': [
        {
          rule: "self.all(taint, taint.key != 'spillway.dev/virtual-node')",
          message: 'found key spillway.dev/virtual-node; allowed: others, since this one is built in',
        },
        {
          rule: 'self.all(a, self.exists_one(b, a.key == b.key && a.effect == b.effect))',
          message: 'found two taints of one key and effect; allowed: each once',
        },
      ],
    }),
  ),
  sandboxHandler: Type.Optional(
    Type.String({
      pattern: handlerPattern,
      maxLength: 63,
      description:
        'handler of the backend that makes the sandboxes of Pods without a RuntimeClass (the backend’s runtimeHandler, else gVisor; where it has neither, nothing starts until this is said)',
    }),
  ),
  runtimeClasses: Type.Optional(
    Type.Record(Type.String(), Type.String({ pattern: handlerPattern, maxLength: 63 }), {
      maxProperties: 32,
      description: 'handler by name of RuntimeClass, in place of the one that the class names',
    }),
  ),
  security: Type.Optional(securitySchema),
  untainted: Type.Optional(
    Type.Boolean({ description: 'leave the built-in taints out, so that every Pod may come (false)' }),
  ),
  priceBook: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 63,
      description: 'price book of what starts here from now on (tencent-eks-intl-2023-06-30)',
    }),
  ),
  purchase: Type.Optional(
    Type.Union(
      purchaseOptions.map((option) => Type.Literal(option)),
      {
        description:
          'by which prices what starts here from now on is billed, unless the Pod says: on-demand, or spot where the price book has such prices (on-demand)',
      },
    ),
  ),
  cordoned: Type.Optional(
    Type.Boolean({ description: 'its nodes, those there and new ones, take no new Pods (false)' }),
  ),
  drained: Type.Optional(
    Type.Boolean({ description: 'cordoned, and the Pods there are evicted; the nodes stay (false)' }),
  ),
  drainTimeoutSeconds: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 86_400,
      description:
        'how long evictions wait for PodDisruptionBudgets when a pool is deleted by force; then Pods are deleted (300)',
    }),
  ),
  autoscale: Type.Optional(autoscaleSchema),
  budget: Type.Optional(
    spendCapsSchema('caps on what all Pods on its nodes cost together, by whatever way they came'),
  ),
}

export const poolSpecSchema = Type.Object(poolFields, { additionalProperties: false })

/** Room for `-<ordinal>` of four digits in a host name, which is a label of at most 63 characters. */
export const longestPoolName = 58

export const poolSchema = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      maxLength: longestPoolName,
      description: 'name of the pool; its nodes are called <name>-<ordinal>',
    }),
    ...poolFields,
  },
  { additionalProperties: false },
)

export type RawPoolSpec = Static<typeof poolSpecSchema>
export type RawPool = Static<typeof poolSchema>
