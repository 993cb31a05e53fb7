type Outcome = 'passed' | 'failed'

/**
 * Reads what ginkgo prints with `-v` when a test ends: its JSON report comes only at the end of all, too late for
 * people who wait and for what has to survive an interruption. Not e2e.test's `--progress-report-url`: that tells the
 * begin and the end of the suite, but nothing about tests, in 1.37.2.
 */
export class FinishedTests {
  readonly #names: ReadonlyMap<string, string>
  readonly #onTest: (outcome: Outcome, name: string) => void
  #rest = ''
  /** Of the heading's first line, while its second one is awaited. */
  #outcome: Outcome | undefined

  constructor(names: readonly string[], onTest: (outcome: Outcome, name: string) => void) {
    this.#names = new Map(names.map((name) => [sameSpacing(name), name]))
    this.#onTest = onTest
  }

  /** Takes the output as it comes, in pieces of any size. */
  write(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  #line(line: string): void {
    const name = this.#outcome === undefined ? undefined : this.#nameIn(line)
    if (this.#outcome !== undefined && name !== undefined) this.#onTest(this.#outcome, name)
    this.#outcome = outcomeIn(line)
  }

  /** The test's labels follow its name in brackets, as some names end, too. Failed ones have a mark amidst. */
  #nameIn(line: string): string | undefined {
    const title = sameSpacing(line.replace(' [It] ', ' '))
    return this.#names.get(title) ?? this.#names.get(title.replace(/ \[[^[\]]*\]$/, ''))
  }
}

/** As in `• [2.227 seconds]` and `• [FAILED] [2.227 seconds]`. */
function outcomeIn(line: string): Outcome | undefined {
  const match = /^• (?:\[([^\]]+)\] )?\[[\d.]+ seconds\]$/.exec(line)
  if (match === null) return undefined
  const [, mark = ''] = match
  if (mark === '' || mark.startsWith('FLAKEY TEST')) return 'passed'
  return /^(FAILED|PANICKED!|TIMEDOUT)$/.test(mark) ? 'failed' : undefined
}

/** Containers without a text leave two spaces in the printed name, and one in that of the report. */
function sameSpacing(name: string): string {
  return name.trim().replace(/\s+/g, ' ')
}
