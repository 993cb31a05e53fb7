import type { Clock } from '../model/clock.ts'

/** How long work tells a person that it is under way. */
export interface Progress {
  /** Work of several steps in this order, of which some may be skipped. */
  begin(title: string, steps: readonly ProgressStep[]): ProgressTask
  /** Work that is described anew whenever somebody looks, from how long it has been going on. */
  follow(title: string, describe: (elapsedMs: number) => string): Pick<ProgressTask, 'end'>
  /** One sentence that stands for itself. */
  note(sentence: string): void
}

export interface ProgressStep {
  readonly name: string
  /** About how long it takes, for the estimate. */
  readonly weightSeconds: number
}

export interface ProgressTask {
  /** The step of that name begins; those before it are over. */
  step(name: string): void
  /** All is done, or has failed: nothing more is shown. */
  end(outcome: 'done' | 'failed'): void
}

/** For where nobody looks. */
export const silentProgress: Progress = {
  begin: () => ({ step: () => undefined, end: () => undefined }),
  follow: () => ({ end: () => undefined }),
  note: () => undefined,
}

export interface ProgressState {
  readonly title: string
  readonly steps: readonly ProgressStep[]
  /** Index of the step under way. */
  readonly current: number
  readonly elapsedMs: number
  readonly elapsedInStepMs: number
}

/** As in `building programs: kubelet (4 of 16), 5m44s so far, about 3m to go`. */
export function progressLine(state: ProgressState): string {
  const step = state.steps[state.current]
  const where = step === undefined ? '' : `: ${step.name} (${state.current + 1} of ${state.steps.length})`
  return `${state.title}${where}, ${duration(state.elapsedMs)} so far, ${estimate(state)}`
}

function estimate(state: ProgressState): string {
  const weight = (steps: readonly ProgressStep[]): number =>
    steps.reduce((sum, step) => sum + step.weightSeconds * 1000, 0)
  const finishedWeightMs = weight(state.steps.slice(0, state.current))
  const finishedMs = state.elapsedMs - state.elapsedInStepMs
  // This machine's pace against the table's. Below half a minute of finished work it says more about noise.
  const pace = finishedWeightMs >= 30_000 ? finishedMs / finishedWeightMs : 1
  const currentMs = weight(state.steps.slice(state.current, state.current + 1)) * pace - state.elapsedInStepMs
  const restMs = Math.max(currentMs, 0) + weight(state.steps.slice(state.current + 1)) * pace
  if (restMs < 1000) return 'nearly done'
  return `about ${restMs < 60_000 ? `${Math.ceil(restMs / 1000)}s` : `${Math.round(restMs / 60_000)}m`} to go`
}

/** As in `44s`, `5m44s`, `1h02m`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const pad = (part: number): string => String(part).padStart(2, '0')
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${pad(seconds % 60)}s`
  return `${Math.floor(seconds / 3600)}h${pad(Math.floor(seconds / 60) % 60)}m`
}

export interface ProgressStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** What is over sooner is not worth a line. */
const quietMs = 1_500
const plainIntervalMs = 15_000
const liveIntervalMs = 500

/** Shows progress on a stream (stderr): one line that ticks on a terminal, a plain line every 15 s elsewhere. */
export function createTerminalProgress(stream: ProgressStream, clock: Clock): Progress {
  return {
    begin: (title, steps) => new TerminalTask(stream, clock, title, steps),
    follow: (title, describe) =>
      new TickingLine(stream, clock, title, (elapsedMs) => `${title}: ${describe(elapsedMs)}`),
    note: (sentence) => void stream.write(`${sentence}\n`),
  }
}

/** A line that is written again and again while something is under way. */
class TickingLine {
  readonly #stream: ProgressStream
  readonly #clock: Clock
  readonly #title: string
  readonly #line: (elapsedMs: number) => string
  readonly #beganMs: number
  #shown = false
  #ended = false
  #cancelTimer: () => void

  constructor(stream: ProgressStream, clock: Clock, title: string, line: (elapsedMs: number) => string) {
    this.#stream = stream
    this.#clock = clock
    this.#title = title
    this.#line = line
    this.#beganMs = clock.monotonicMs()
    this.#cancelTimer = clock.timer(quietMs, () => this.#tick())
  }

  get elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#beganMs
  }

  /** What is shown has changed; a plain log waits for its next line. */
  refresh(): void {
    if (this.#shown && this.#live) this.#show()
  }

  end(outcome: 'done' | 'failed'): void {
    if (this.#ended) return
    this.#ended = true
    this.#cancelTimer()
    if (!this.#shown) return
    this.#stream.write(`${this.#lineStart}${this.#title}: ${outcome} after ${duration(this.elapsedMs)}\n`)
  }

  get #live(): boolean {
    return this.#stream.isTTY === true
  }

  get #lineStart(): string {
    return this.#live ? '\r\u001B[2K' : ''
  }

  #tick(): void {
    this.#show()
    this.#cancelTimer = this.#clock.timer(this.#live ? liveIntervalMs : plainIntervalMs, () => this.#tick())
  }

  #show(): void {
    this.#shown = true
    const line = this.#line(this.elapsedMs)
    // A line that wraps could not be wiped by the next one.
    const width = Math.max((this.#stream.columns ?? 80) - 1, 20)
    this.#stream.write(this.#live ? `${this.#lineStart}${line.slice(0, width)}` : `${line}\n`)
  }
}

class TerminalTask implements ProgressTask {
  readonly #title: string
  readonly #steps: readonly ProgressStep[]
  readonly #line: TickingLine
  #current = 0
  #stepBeganMs = 0

  constructor(stream: ProgressStream, clock: Clock, title: string, steps: readonly ProgressStep[]) {
    this.#title = title
    this.#steps = steps
    this.#line = new TickingLine(stream, clock, title, (elapsedMs) => this.#describe(elapsedMs))
  }

  step(name: string): void {
    const index = this.#steps.findIndex((step) => step.name === name)
    if (index < 0) throw new Error(`"${name}" is no step of "${this.#title}"`)
    this.#current = index
    this.#stepBeganMs = this.#line.elapsedMs
    this.#line.refresh()
  }

  end(outcome: 'done' | 'failed'): void {
    this.#line.end(outcome)
  }

  #describe(elapsedMs: number): string {
    return progressLine({
      title: this.#title,
      steps: this.#steps,
      current: this.#current,
      elapsedMs,
      elapsedInStepMs: elapsedMs - this.#stepBeganMs,
    })
  }
}
