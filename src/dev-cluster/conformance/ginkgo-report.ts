/** Names one of upstream's tests. */
export interface TestName {
  /** As ginkgo's `--focus` sees it: all texts from the outermost container to the test itself. */
  readonly name: string
  /** The outermost container, as in `[sig-node] Probing container`. */
  readonly group: string
}

export interface TestResult extends TestName {
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** Left out where only the outcome is known. */
  readonly durationMs?: number
  /** Why it failed, or why it skipped itself. */
  readonly message?: string
}

export interface SuiteResults {
  /** Of the tests that were run to an end; those that the filters left out are not among them. */
  readonly tests: readonly TestResult[]
  /** What went wrong outside of tests, as in the suite's set-up: then tests are missing. */
  readonly problems: readonly string[]
}

/** The parts of ginkgo's `--json-report` that are read (ginkgo v2, types.Report). */
interface Report {
  readonly SpecialSuiteFailureReasons?: readonly string[] | null
  readonly SpecReports?: readonly SpecReport[] | null
}

interface SpecReport {
  readonly ContainerHierarchyTexts?: readonly string[] | null
  readonly LeafNodeType: string
  readonly LeafNodeText: string
  readonly State: string
  /** Nanoseconds. */
  readonly RunTime?: number
  readonly Failure?: { readonly Message?: string; readonly ForwardedPanic?: string }
}

const failedStates = ['failed', 'panicked', 'timedout']

/** Reads ginkgo's JSON report: a list of suites, of which e2e.test has one. */
export function readGinkgoReport(text: string): SuiteResults {
  const reports = JSON.parse(text) as readonly Report[]
  const specs = reports.flatMap((report) => report.SpecReports ?? [])
  return {
    tests: specs.flatMap((spec) => (spec.LeafNodeType === 'It' ? resultOf(spec) : [])),
    problems: [
      ...reports.flatMap((report) => report.SpecialSuiteFailureReasons ?? []),
      ...specs
        .filter((spec) => spec.LeafNodeType !== 'It' && failedStates.includes(spec.State))
        .map((spec) => `${spec.LeafNodeType}: ${firstLine(messageOf(spec) ?? spec.State)}`),
    ],
  }
}

function resultOf(spec: SpecReport): readonly TestResult[] {
  const message = messageOf(spec)
  const outcome = outcomeOf(spec, message)
  if (outcome === undefined) return []
  const durationMs = Math.round((spec.RunTime ?? 0) / 1_000_000)
  return [{ ...nameOf(spec), outcome, durationMs, ...(message === undefined ? {} : { message }) }]
}

function outcomeOf({ State }: SpecReport, message: string | undefined): TestResult['outcome'] | undefined {
  if (State === 'passed') return 'passed'
  if (failedStates.includes(State)) return 'failed'
  // A test that skips itself says why; one that the filters left out has nothing to say. Whatever else there is
  // (interrupted, aborted) is no verdict on the test.
  return State === 'skipped' && message !== undefined ? 'skipped' : undefined
}

function nameOf(spec: SpecReport): TestName {
  const containers = spec.ContainerHierarchyTexts ?? []
  const texts = [...containers, spec.LeafNodeText].filter((part) => part !== '')
  return { name: texts.join(' '), group: texts[0] ?? '' }
}

function messageOf({ Failure }: SpecReport): string | undefined {
  const parts = [Failure?.Message, Failure?.ForwardedPanic].filter(
    (part) => part !== undefined && part !== '',
  )
  return parts.length === 0 ? undefined : parts.join(': ')
}

/** What a failure says first. Of a wait that ended in vain also what was waited for, which stands below. */
export function firstLine(message: string): string {
  const lines = message.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]))
  const [first = '', second] = lines
  return /^(Timed out after|Told to stop trying after)/.test(first) && second !== undefined
    ? `${first} ${second}`
    : first
}
