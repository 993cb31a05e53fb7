import { Worker, type ResourceLimits } from 'node:worker_threads'

export interface ThreadOptions {
  /** Its source, beside ours. */
  readonly source: URL
  readonly data: unknown
  /** PostgreSQL's client reads its variables from there, and nothing else is its business. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly resourceLimits?: ResourceLimits
}

/** Begins a thread that opens a ledger. */
export function startThread({ source, data, environment, resourceLimits }: ThreadOptions): Worker {
  // A release is built JavaScript, where it lies under the same name with the other ending.
  const isBuilt = import.meta.url.endsWith('.js')
  return new Worker(isBuilt ? new URL(source.href.replace(/\.ts$/, '.js')) : source, {
    workerData: data,
    env: { ...environment },
    execArgv: ['--disable-warning=ExperimentalWarning'],
    ...(resourceLimits && { resourceLimits }),
  })
}
