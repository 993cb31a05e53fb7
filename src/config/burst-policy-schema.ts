import { Type, type Static } from 'typebox'
import { labelKeyPattern, labelValuePattern } from './schema-words.ts'
import { spendCapsSchema } from './spend-caps-schema.ts'

/**
 * The spec of a BurstPolicy and of a ClusterBurstPolicy: what the API server is given as a definition, and what
 * compileBurstPolicy reads it by. `x-kubernetes-validations` are for the API server; checkBurstSpec says the same here.
 */
const labelKey = (description: string) =>
  Type.String({ pattern: labelKeyPattern, maxLength: 317, description })

const labelValue = (description?: string) =>
  Type.String({
    pattern: labelValuePattern,
    maxLength: 63,
    ...(description !== undefined && { description }),
  })

const requirementSchema = Type.Object(
  {
    key: labelKey('label key'),
    operator: Type.Union(
      [Type.Literal('In'), Type.Literal('NotIn'), Type.Literal('Exists'), Type.Literal('DoesNotExist')],
      { description: 'In, NotIn, Exists or DoesNotExist' },
    ),
    values: Type.Optional(
      Type.Array(labelValue(), { maxItems: 64, description: 'with In and NotIn, and only there' }),
    ),
  },
  {
    additionalProperties: false,
    'x-kubernetes-validations': [
      {
        rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
        messageExpression:
          "'found operator ' + self.operator + (has(self.values) && self.values.size() > 0 ? ' with' : ' without') + ' values; allowed: values with In and NotIn, none with Exists and DoesNotExist'",
      },
    ],
  },
)

const selectorSchema = (description: string) =>
  Type.Object(
    {
      matchLabels: Type.Optional(
        Type.Record(Type.String(), labelValue(), {
          maxProperties: 32,
          description: 'labels that must be there with these values',
          'x-kubernetes-validations': [
            {
              rule: `self.all(key, key.size() <= 317 && key.matches(${JSON.stringify(labelKeyPattern)}))`,
              message: 'found a key that is no label key; allowed: as in example.com/tier',
            },
          ],
        }),
      ),
      matchExpressions: Type.Optional(
        Type.Array(requirementSchema, { maxItems: 32, description: 'requirements that must all hold' }),
      ),
    },
    { additionalProperties: false, description },
  )

const clockPattern = '^([01][0-9]|2[0-3]):[0-5][0-9]$'

/** Monday first. */
export const weekDays: readonly string[] = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

const quietSchema = Type.Object(
  {
    days: Type.Optional(
      Type.Array(
        Type.Union(
          [
            Type.Literal('Mon'),
            Type.Literal('Tue'),
            Type.Literal('Wed'),
            Type.Literal('Thu'),
            Type.Literal('Fri'),
            Type.Literal('Sat'),
            Type.Literal('Sun'),
          ],
          { description: 'Mon to Sun' },
        ),
        {
          minItems: 1,
          maxItems: 7,
          description: 'days on which they begin (every day)',
          'x-kubernetes-validations': [
            {
              rule: 'self.all(a, self.exists_one(b, a == b))',
              message: 'found a day twice; allowed: each once',
            },
          ],
        },
      ),
    ),
    from: Type.String({ pattern: clockPattern, maxLength: 5, description: 'time of day, as in "22:00"' }),
    to: Type.String({
      pattern: '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$',
      maxLength: 5,
      description: 'time of day, no longer quiet; earlier than from: of the next day; up to "24:00"',
    }),
    timeZone: Type.Optional(
      Type.String({
        pattern: '^[A-Z][A-Za-z0-9_+/-]*$',
        maxLength: 64,
        description: 'IANA name, as in Europe/Berlin (UTC)',
        'x-kubernetes-validations': [
          {
            rule: "!(self in ['Local', 'Factory']) && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",
            messageExpression: "'found ' + self + '; allowed: IANA names, as in Europe/Berlin'",
          },
        ],
      }),
    ),
  },
  {
    additionalProperties: false,
    'x-kubernetes-validations': [
      {
        rule: 'self.from != self.to',
        messageExpression:
          "'found from and to ' + self.from + '; allowed: two different times, as in 00:00 and 24:00'",
      },
    ],
  },
)

const moveBackSchema = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean({ description: 'whether Pods are moved back at all (true)' })),
    afterSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'how long servers have to have had room (as in the configuration)',
      }),
    ),
    reservePercent: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 90,
        description:
          'percent of a server’s CPU and memory that stay free after a move (as in the configuration)',
      }),
    ),
    giveUpAfterSeconds: Type.Optional(
      Type.Integer({
        minimum: 10,
        maximum: 3600,
        description: 'how long a twin on a server may take to become available (as in the configuration)',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'how Pods return to servers that have room again, where the configuration turns that on; what is left out is as there',
  },
)

const replicas = (description: string) => Type.Integer({ minimum: 0, maximum: 100_000, description })

const howFields = {
  mode: Type.Optional(
    Type.Union([Type.Literal('Auto'), Type.Literal('Never'), Type.Literal('Always')], {
      // For the printed columns; whoever leaves it out has Auto.
      default: 'Auto',
      description:
        'Auto (the default): out when no server has room; Never; Always: out as soon as the scheduler has refused it, whatever the servers have',
    }),
  ),
  waitSeconds: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 86_400,
      description: 'with Auto: how long a Pod waits for a server after the scheduler has refused it (0)',
    }),
  ),
  maxVirtualReplicas: Type.Optional(
    replicas('most Pods of one workload on virtual nodes; a Deployment’s ReplicaSets count together'),
  ),
  minServerReplicas: Type.Optional(
    replicas('Pods of one workload that must be on servers before one goes to a virtual node (0)'),
  ),
  pools: Type.Optional(
    Type.Array(Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 58 }), {
      minItems: 1,
      maxItems: 32,
      description:
        'pools in the order in which they are tried, and no others; the next one when one has no room, refuses the Pod or costs too much (all pools)',
      'x-kubernetes-validations': [
        {
          rule: 'self.all(a, self.exists_one(b, a == b))',
          message: 'found a pool twice; allowed: each once',
        },
      ],
    }),
  ),
  spend: Type.Optional(
    spendCapsSchema(
      'caps on what the selected Pods cost on virtual nodes; those of every policy that selects a Pod hold',
    ),
  ),
  quietHours: Type.Optional(
    Type.Array(quietSchema, {
      maxItems: 16,
      description: 'times at which no Pod goes out; those that are out stay',
    }),
  ),
  scaleIn: Type.Optional(
    Type.Union([Type.Literal('VirtualFirst'), Type.Literal('None')], {
      description:
        'which Pods leave first when a workload shrinks: those on virtual nodes (VirtualFirst, the default), or as Kubernetes chooses (None)',
    }),
  ),
  moveBack: Type.Optional(moveBackSchema),
}

export const burstPolicySpecSchema = Type.Object(
  {
    podSelector: Type.Optional(selectorSchema('Pods of its namespace that it is about; left out: all')),
    ...howFields,
  },
  { additionalProperties: false },
)

export const clusterBurstPolicySpecSchema = Type.Object(
  {
    namespaceSelector: Type.Optional(
      selectorSchema('namespaces that it is about, by their labels; left out: all'),
    ),
    podSelector: Type.Optional(selectorSchema('Pods there that it is about; left out: all')),
    ...howFields,
  },
  { additionalProperties: false },
)

/** Of either kind; a BurstPolicy has no `namespaceSelector`. */
export type RawBurstSpec = Static<typeof clusterBurstPolicySpecSchema>
export type RawSelector = NonNullable<RawBurstSpec['podSelector']>
