import type { Output } from '../output.ts'

export interface Claim {
  readonly sentence: string
  readonly holds: boolean
  readonly evidence: string
}

/** What the demo says, each sentence checked where it is said. The exit code is made of these. */
export class Claims {
  readonly #output: Output
  readonly #made: Claim[] = []

  constructor(output: Output) {
    this.#output = output
  }

  /** Prints the sentence with a tick or a cross, and the evidence. */
  check(sentence: string, holds: boolean, evidence: string): void {
    this.#made.push({ sentence, holds, evidence })
    const mark = holds ? this.#output.style('green', '✓') : this.#output.style('red', '✗')
    this.#output.line(`  ${mark} ${sentence} ${this.#output.style('dim', `(${evidence})`)}`)
  }

  get all(): readonly Claim[] {
    return this.#made
  }

  get false(): readonly Claim[] {
    return this.#made.filter(({ holds }) => !holds)
  }
}
