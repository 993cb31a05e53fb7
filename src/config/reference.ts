import type { TSchema } from 'typebox'

export interface ConfigField {
  /** As in `pools[].capacity.cpu`. */
  readonly path: string
  readonly required: boolean
  readonly description: string
}

/** Every field of a schema with its description, in order: docs/reference/config.md is held to this list. */
export function configFields(schema: TSchema, prefix = ''): ConfigField[] {
  const { properties = {}, required = [] } = schema as unknown as {
    properties?: Record<string, TSchema>
    required?: string[]
  }
  return Object.entries(properties).flatMap(([name, property]) => {
    const path = prefix ? `${prefix}.${name}` : name
    const {
      description = '',
      items,
      anyOf,
    } = property as unknown as {
      description?: string
      items?: TSchema
      anyOf?: TSchema[]
    }
    const nested = [property, ...(anyOf ?? [])].flatMap((inner) => configFields(inner, path))
    const elements = items ? configFields(items, `${path}[]`) : []
    return [
      { path: items ? `${path}[]` : path, required: required.includes(name), description },
      ...nested,
      ...elements,
    ]
  })
}
