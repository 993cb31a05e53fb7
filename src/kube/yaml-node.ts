import { SpillwayError } from '../model/errors.ts'

/** A mapping of a parsed file that knows where it stands, so that errors name file and field. All throw ConfigInvalid. */
export class YamlNode {
  readonly file: string
  /** As in `users[0].user`; '' for the whole file. */
  readonly path: string
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(file: string, path: string, value: unknown) {
    this.file = file
    this.path = path
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new SpillwayError('ConfigInvalid', `${file}: ${path || 'the file'} is not a mapping`)
    }
    this.#fields = value as Record<string, unknown>
  }

  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null
  }

  /** Undefined when absent or empty, which kubeconfigs written by tools use alike. */
  text(field: string): string | undefined {
    const value = this.#fields[field]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string') return value
    throw this.error(field, `is ${kindOf(value)}, wanted is a text`)
  }

  required(field: string): string {
    const value = this.text(field)
    if (value === undefined) throw this.error(field, 'is missing')
    return value
  }

  flag(field: string): boolean {
    const value = this.#fields[field] ?? false
    if (typeof value !== 'boolean') {
      throw this.error(field, `is ${JSON.stringify(value)}, wanted is true or false`)
    }
    return value
  }

  texts(field: string): string[] {
    return this.#array(field).map((value) => {
      if (typeof value !== 'string') throw this.error(field, `holds ${kindOf(value)}, wanted are texts`)
      return value
    })
  }

  child(field: string): YamlNode | undefined {
    return this.has(field) ? new YamlNode(this.file, this.#pathOf(field), this.#fields[field]) : undefined
  }

  list(field: string): YamlNode[] {
    return this.#array(field).map(
      (value, index) => new YamlNode(this.file, `${this.#pathOf(field)}[${index}]`, value),
    )
  }

  /** What the field holds, unread: for what is passed on to others. */
  raw(field: string): unknown {
    return this.#fields[field]
  }

  error(field: string, problem: string): SpillwayError {
    return new SpillwayError('ConfigInvalid', `${this.file}: ${this.#pathOf(field)} ${problem}`)
  }

  #array(field: string): readonly unknown[] {
    const value = this.#fields[field] ?? []
    if (!Array.isArray(value)) throw this.error(field, 'is not a list')
    return value as unknown[]
  }

  #pathOf(field: string): string {
    return this.path === '' ? field : `${this.path}.${field}`
  }
}

/** In place of the value: a password of digits is a number to YAML, and must not be shown. */
function kindOf(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a mapping' : `a ${typeof value}`
}
