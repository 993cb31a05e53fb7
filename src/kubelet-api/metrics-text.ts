/** One series of a family, at one moment. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  /** As the text format spells it. */
  readonly value: string
  /** When it was so, wall time; left out: now. */
  readonly atMs?: number
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly Sample[]
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Prometheus' text format, families in the order of their names; those without samples are left out. By hand, because
 * prom-client cannot write a sample's own time, which metrics-server computes its rates from.
 */
export function metricsText(families: readonly MetricFamily[]): string {
  const sorted = families.filter(({ samples }) => samples.length > 0)
  return sorted
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, help, type, samples }) => {
      const lines = samples.map((sample) => sampleLine(name, sample))
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
    })
    .join('')
}

function sampleLine(name: string, { labels = {}, value, atMs }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  const series = pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`
  return `${series} ${value}${atMs === undefined ? '' : ` ${Math.floor(atMs)}`}\n`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

/** Nanoseconds as seconds, exactly. */
export function seconds(nanos: bigint): string {
  const text = nanos.toString().padStart(10, '0')
  return `${text.slice(0, -9)}.${text.slice(-9)}`
}
