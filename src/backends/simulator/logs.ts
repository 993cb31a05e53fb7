import { Readable } from 'node:stream'
import type { Clock } from '../../model/clock.ts'
import { expandVariables } from '../../lifecycle/expand-variables.ts'
import type { LogOptions } from '../backend.ts'
import type { SimulatedPod, SimulatedRun } from './simulated-pod.ts'

interface LogLine {
  readonly atMs: number
  readonly text: string
}

/** What the run has written up to a moment. Nothing is stored: lines follow from the script and the time. */
export function linesUntil(record: SimulatedPod, run: SimulatedRun, untilMs: number): LogLine[] {
  const { startedAtMs, script, environment, name, attempt } = run
  const lastMs = Math.min(untilMs, run.end.atMs)
  if (startedAtMs > lastMs || script.cannotRun !== undefined) return []
  const first = script.print ?? `${record.ref.namespace}/${record.ref.name} ${name}: attempt ${attempt}`
  const lines = expandVariables(first, environment)
    .split('\n')
    .map((text) => ({ atMs: startedAtMs, text }))
  for (let n = 1; startedAtMs + n * script.logEveryMs <= lastMs; n++) {
    lines.push({ atMs: startedAtMs + n * script.logEveryMs, text: `line ${n + script.logFrom - 1}` })
  }
  return lines
}

// The end of a run may be moved forward at any time, so a follower looks again at least this often.
const followEveryMs = 100

export interface LogStreamInput {
  readonly record: SimulatedPod
  readonly run: SimulatedRun
  readonly options: LogOptions
  readonly clock: Clock
}

/** The bytes that `kubectl logs` gets. With `follow`, until the container's end. */
export function logStream(input: LogStreamInput, signal: AbortSignal): Readable {
  return Readable.from(limited(rendered(input, signal), input.options.limitBytes), {
    objectMode: false,
    signal,
  })
}

async function* rendered(
  { record, run, options, clock }: LogStreamInput,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { follow, tailLines, sinceMs = -Infinity, timestamps } = options
  let fromMs = clock.wallMs()
  const past = linesUntil(record, run, fromMs).filter((line) => line.atMs >= sinceMs)
  const shown = tailLines === undefined ? past : past.slice(Math.max(past.length - tailLines, 0))
  for (const line of shown) yield render(line, timestamps)
  if (!follow) return
  while (run.end.atMs > fromMs) {
    await clock.sleep(followEveryMs, signal)
    const nowMs = clock.wallMs()
    for (const line of linesUntil(record, run, nowMs)) {
      if (line.atMs > fromMs && line.atMs >= sinceMs) yield render(line, timestamps)
    }
    fromMs = nowMs
  }
}

async function* limited(source: AsyncIterable<Buffer>, limitBytes = Infinity): AsyncGenerator<Buffer> {
  let left = limitBytes
  for await (const chunk of source) {
    if (left <= 0) return
    yield left < chunk.length ? chunk.subarray(0, left) : chunk
    left -= chunk.length
  }
}

function render({ atMs, text }: LogLine, timestamps: boolean): Buffer {
  // Nanoseconds, as the CRI log format has them.
  const time = timestamps ? `${new Date(atMs).toISOString().replace('Z', '000000Z')} ` : ''
  return Buffer.from(`${time}${text}\n`)
}
