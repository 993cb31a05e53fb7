import { styleText } from 'node:util'
import type { OutputStream } from './context.ts'

type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow' | 'cyan'

/** Text for people on one stream: colours only where a terminal shows them and NO_COLOR does not object. */
export class Output {
  readonly #stream: OutputStream
  readonly #coloured: boolean

  constructor(stream: OutputStream, environment: Readonly<Record<string, string | undefined>>) {
    this.#stream = stream
    this.#coloured = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb'
  }

  line(text = ''): void {
    this.#stream.write(`${text}\n`)
  }

  write(text: string): void {
    this.#stream.write(text)
  }

  json(value: unknown): void {
    this.line(
      JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? String(item) : item), 2),
    )
  }

  style(style: Style, text: string): string {
    // validateStream would look at the real standard output; whether to colour was decided above.
    return this.#coloured ? styleText(style, text, { validateStream: false }) : text
  }
}
