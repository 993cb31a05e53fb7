import { Type, type Static } from 'typebox'
import { demandRules, priceUnits } from '../model/price-book.ts'
import { quantity, text } from './schema-words.ts'

/**
 * A price book as people write it (docs/guides/prices.md). Prices are text: a YAML number is a binary fraction, and
 * 0.000004976 is none.
 */
const decimal = (description: string) => Type.String({ pattern: String.raw`^\d+(\.\d+)?$`, description })
const oneOf = (values: readonly string[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  )
const scale = Type.Integer({ minimum: 0, maximum: 9, description: 'decimal places that are kept' })
const mode = oneOf(['half_even', 'half_up'], 'how halves are rounded')
const cores = quantity('cores, as in 500m or 4')
const memory = quantity('memory, as in 512Mi or 4Gi')
const validity = {
  validFrom: Type.Optional(text('RFC 3339, inclusive')),
  validTo: Type.Optional(text('RFC 3339, exclusive')),
}

const sizeSchema = Type.Object({ cpu: cores, memory }, { additionalProperties: false })

const rangeSchema = Type.Object(
  { from: memory, to: memory, step: Type.Optional(memory) },
  { additionalProperties: false },
)

const rowsSchema = Type.Array(
  Type.Object(
    {
      cpu: cores,
      memory: Type.Union([Type.Array(memory, { minItems: 1 }), rangeSchema], {
        description: 'a list of sizes, or { from, to, step }',
      }),
    },
    { additionalProperties: false },
  ),
  { minItems: 1 },
)

const priceSchema = Type.Object(
  {
    sku: Type.String({ pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$' }),
    unit: oneOf(priceUnits, 'what one unit is'),
    price: decimal('a decimal in quotes'),
    purchase: Type.Optional(oneOf(['spot'], 'only of what is bought so')),
    cpuType: Type.Optional(text('only of that processor')),
    gpuModel: Type.Optional(text('only of that model of card')),
    ...validity,
  },
  { additionalProperties: false },
)

export const exactSpecsSchema = Type.Object(
  { kind: Type.Literal('exact'), defaults: sizeSchema },
  { additionalProperties: false },
)

export const steppedSpecsSchema = Type.Object(
  {
    kind: Type.Literal('stepped'),
    demand: Type.Optional(oneOf(demandRules, 'how requests and limits become what is looked up')),
    rows: rowsSchema,
    cpuType: Type.Optional(text('what the processor of rows is called')),
    otherCpuTypes: Type.Optional(
      Type.Array(
        Type.Object({ cpuType: text('its name'), rows: rowsSchema }, { additionalProperties: false }),
      ),
    ),
    defaults: sizeSchema,
    gpuRows: Type.Optional(
      Type.Array(
        Type.Object(
          {
            gpuModel: text('model of the cards'),
            gpus: Type.Integer({ minimum: 1, maximum: 1024, description: 'cards' }),
            cpu: cores,
            memory,
          },
          { additionalProperties: false },
        ),
      ),
    ),
    annotations: Type.Optional(
      Type.Object(
        {
          cpu: text('annotation key'),
          memory: text('annotation key'),
          cpuType: Type.Optional(text('annotation key')),
          gpuModel: Type.Optional(text('annotation key')),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

/** Without the spec table, whose schema depends on its kind: a union could only say that neither fits. */
export const priceBookSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$', description: 'what pools call it' }),
    source: text('where the prices are from'),
    retrievedAt: Type.String({
      pattern: String.raw`^\d{4}-\d{2}-\d{2}$`,
      description: 'day on which they were read',
    }),
    notes: Type.Optional(Type.Array(text('what a reader of a bill should know'))),
    currency: Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' }),
    prices: Type.Array(priceSchema, { minItems: 1 }),
    minimumSeconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 86_400, description: 'what is billed at least' }),
    ),
    secondRounding: Type.Optional(oneOf(['none', 'up'], 'whether a started second counts whole')),
    memoryOverhead: Type.Optional(memory),
    lineRounding: Type.Optional(
      Type.Object(
        { scale, mode, dropBelow: Type.Optional(decimal('a decimal in quotes')) },
        { additionalProperties: false },
      ),
    ),
    hourRounding: Type.Optional(
      Type.Object({ below: decimal('a decimal in quotes'), scale, mode }, { additionalProperties: false }),
    ),
    specTable: Type.Object({ kind: oneOf(['exact', 'stepped'], 'exact or stepped') }),
    ...validity,
  },
  { additionalProperties: false },
)

export type RawSteppedSpecs = Static<typeof steppedSpecsSchema>
export type RawExactSpecs = Static<typeof exactSpecsSchema>
export type RawRows = Static<typeof rowsSchema>
export type RawPriceBook = Omit<Static<typeof priceBookSchema>, 'specTable'> & {
  readonly specTable: RawSteppedSpecs | RawExactSpecs
}
