import type { TSchema } from 'typebox'
import { Settings } from 'typebox/system'
import { Value } from 'typebox/value'

interface RawError {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: Readonly<Record<string, unknown>>
  readonly message: string
}

/**
 * Everything that is wrong with a value, one sentence each: the field, what was found, what is allowed. Empty when it
 * fits. `prefix` is put before the field's path, as in `backends[0].options`.
 */
export function validate(schema: TSchema, value: unknown, prefix = ''): string[] {
  // The library stops at 8 errors; people want all of theirs at once.
  Settings.Set({ maxErrors: 200 })
  const errors = Value.Errors(schema, value) as unknown as RawError[]
  const sentences = new Set<string>()
  const alternatives = new Map<string, string[]>()
  for (const error of errors) {
    const field = fieldName(prefix, error.instancePath)
    const found = describe(valueAt(value, error.instancePath))
    switch (error.keyword) {
      case 'boolean':
        break // the same as additionalProperties, said twice
      case 'additionalProperties':
        for (const key of error.params['additionalProperties'] as string[]) {
          sentences.add(
            `${fieldName(field, `/${key}`)}: unknown field; allowed here: ${knownFields(schema, error.schemaPath)}`,
          )
        }
        break
      case 'required':
        for (const key of error.params['requiredProperties'] as string[]) {
          sentences.add(`${fieldName(field, `/${key}`)}: missing`)
        }
        break
      case 'const':
        alternatives.set(field, [
          ...(alternatives.get(field) ?? []),
          JSON.stringify(error.params['allowedValue']),
        ])
        break
      case 'enum': {
        const allowed = (error.params['allowedValues'] as unknown[]).map((one) => JSON.stringify(one))
        sentences.add(`${field}: found ${found}; allowed: ${allowed.join(', ')}`)
        break
      }
      case 'anyOf':
        sentences.add(
          `${field}: found ${found}; ${allowedByUnion(alternatives.get(field), schema, error.schemaPath)}`,
        )
        break
      default:
        sentences.add(`${field}: found ${found}; it ${error.message}`)
    }
  }
  return [...sentences]
}

function allowedByUnion(
  constants: readonly string[] | undefined,
  schema: TSchema,
  schemaPath: string,
): string {
  if (constants) return `allowed: ${constants.join(', ')}`
  const union = schemaAt(schema, schemaPath)
  return `it must be ${typeof union?.['description'] === 'string' ? union['description'] : 'one of the allowed forms'}`
}

function knownFields(schema: TSchema, schemaPath: string): string {
  const properties = schemaAt(schema, schemaPath)?.['properties']
  return properties && typeof properties === 'object' ? Object.keys(properties).join(', ') : 'none'
}

function schemaAt(schema: TSchema, schemaPath: string): Record<string, unknown> | undefined {
  let at: unknown = schema
  for (const part of schemaPath.split('/').slice(1)) at = (at as Record<string, unknown> | undefined)?.[part]
  return at as Record<string, unknown> | undefined
}

function fieldName(prefix: string, pointer: string): string {
  const parts = pointer.split('/').slice(1)
  return parts.reduce((path, part) => {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (/^\d+$/.test(key)) return `${path}[${key}]`
    return path ? `${path}.${key}` : key
  }, prefix)
}

function valueAt(value: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value)
}

/** Passwords that stand in URLs are left out: what is wrong gets into logs. */
function describe(value: unknown): string {
  const text = (JSON.stringify(value) ?? 'nothing').replace(/(:\/\/[^\s:@/"]*):[^\s@"]*@/g, '$1:…@')
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
