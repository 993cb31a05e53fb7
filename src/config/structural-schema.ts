import type { TSchema } from 'typebox'

/** Part of an `openAPIV3Schema` of a CustomResourceDefinition. */
export interface StructuralSchema {
  readonly [keyword: string]: unknown
}

interface LooseSchema {
  readonly type?: string
  readonly anyOf?: readonly LooseSchema[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, LooseSchema>>
  readonly patternProperties?: Readonly<Record<string, LooseSchema>>
  readonly required?: readonly string[]
  readonly items?: LooseSchema
  readonly [keyword: string]: unknown
}

/** Keywords that both know and mean the same by. */
const shared = [
  'type',
  'description',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'format',
  'default',
  'x-kubernetes-validations',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
]

/**
 * A schema of ours in the words of a CustomResourceDefinition. Unknown fields are left out: a structural schema may not
 * forbid them (the API server refuses them for those that ask it to, as kubectl does, and drops them for the rest).
 * Throws on what it has no words for, so that nothing is checked less strictly without notice.
 */
export function structuralSchema(schema: TSchema): StructuralSchema {
  return convert(schema as unknown as LooseSchema)
}

function convert(schema: LooseSchema): StructuralSchema {
  if (schema.anyOf) return union(schema, schema.anyOf)
  const own = pick(schema)
  if (schema.type === 'object') {
    const { properties = {}, required = [], patternProperties } = schema
    if (patternProperties) {
      const [values] = Object.values(patternProperties)
      return { ...own, additionalProperties: convert(values ?? {}) }
    }
    return {
      ...own,
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, field]) => [name, convert(field)]),
      ),
      ...(required.length > 0 && { required }),
    }
  }
  if (schema.type === 'array') return { ...own, items: convert(schema.items ?? {}) }
  if (schema.type === 'string' || schema.type === 'integer' || schema.type === 'boolean') return own
  throw new Error(`a definition has no words for ${JSON.stringify(schema)}`)
}

function union(schema: LooseSchema, parts: readonly LooseSchema[]): StructuralSchema {
  if (parts.every((part) => part.const !== undefined)) {
    return { ...pick(schema), type: 'string', enum: parts.map((part) => part.const) }
  }
  const [first, second] = parts
  if (parts.length === 2 && first?.type === 'string' && second?.type === 'number') {
    const { pattern, maxLength, minimum } = { ...first, ...second }
    // The API server's int-or-string knows no fractions but in strings.
    return {
      ...pick(schema),
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      'x-kubernetes-int-or-string': true,
      ...(pattern !== undefined && { pattern }),
      ...(maxLength !== undefined && { maxLength }),
      ...(minimum !== undefined && { minimum }),
    }
  }
  throw new Error(`a definition has no words for the union ${JSON.stringify(schema)}`)
}

function pick(schema: LooseSchema): StructuralSchema {
  return Object.fromEntries(shared.flatMap((word) => (word in schema ? [[word, schema[word]]] : [])))
}
