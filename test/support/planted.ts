import { randomBytes } from 'node:crypto'

/** A secret of a test's own, and the shapes in which it may turn up. */
export interface Planted {
  readonly name: string
  readonly value: string
}

/** Letters and digits only: what quotes, escapes or URL-encodes a text leaves these as they are. */
export function plant(name: string): Planted {
  return { name, value: `Planted${randomBytes(16).toString('hex')}` }
}

/**
 * As it is, all in percent signs, in hexadecimal, in base64 of either alphabet as part of any longer text, and in base64 of
 * that again, as a login in a Docker configuration in a Secret is. Pure.
 */
export function formsOf(value: string): string[] {
  const once = base64Parts(value)
  const hex = Buffer.from(value).toString('hex')
  const percent = hex.replaceAll(/../g, (byte) => `%${byte}`)
  const forms = [
    value,
    hex,
    hex.toUpperCase(),
    percent,
    percent.toUpperCase(),
    ...once,
    ...once.flatMap(base64Parts),
  ]
  return [...new Set(forms.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]))]
}

/** What base64 makes of a text, wherever in another it begins: three shapes, without the ends that its neighbours colour. */
function base64Parts(value: string): string[] {
  return [0, 1, 2].map((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(value)])
    const whole = bytes.toString('base64').replaceAll('=', '')
    const clean = bytes.length % 3 === 0 ? whole.length : whole.length - 1
    return whole.slice(Math.ceil((before * 8) / 6), clean)
  })
}

/** Which secrets stand in a text, by name. Pure. */
export function plantedIn(text: string, secrets: readonly Planted[]): string[] {
  return secrets
    .filter(({ value }) => formsOf(value).some((form) => text.includes(form)))
    .map(({ name }) => name)
}
