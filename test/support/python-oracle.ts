import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** What billing_oracle.py says that an exported ledger comes to. */
export interface PythonBill {
  readonly events: number
  readonly headHash: string
  readonly problems: readonly string[]
  readonly intervals: readonly {
    readonly podUid: string
    readonly incarnation: number
    readonly start: number
    readonly end: number | null
    readonly endKnown: string
  }[]
  readonly lines: readonly PythonLine[]
  /** Nano-units by currency. */
  readonly totals: Readonly<Record<string, string>>
}

export interface PythonLine {
  readonly podUid: string
  readonly incarnation: number
  readonly sku: string | null
  readonly resource: string
  readonly hourMs: number
  /** `num/den` in lowest terms. */
  readonly exact: string
  readonly nanos: string
  readonly currency: string
}

/** Why it cannot be asked here; undefined when it can. */
export function pythonIsMissing(): string | undefined {
  const { status, error } = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))'])
  if (error) return `the second oracle is not asked: no python3 on this machine (${error.message})`
  return status === 0 ? undefined : 'the second oracle is not asked: it wants Python 3.8 or newer'
}

/** Open intervals are priced up to `nowMs`. Rejects with what Python printed when it fails. */
export async function askPython(
  exported: AsyncIterable<string> | Iterable<string>,
  { nowMs }: { readonly nowMs: number },
): Promise<PythonBill> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-export-'))
  try {
    const file = join(folder, 'ledger.ndjson')
    await pipeline(Readable.from(exported), createWriteStream(file))
    const script = join(import.meta.dirname, 'billing_oracle.py')
    const child = spawn('python3', ['-I', '-S', script, file, '--now', String(nowMs)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const told = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (told.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (told.stderr += text))
    await once(child, 'close')
    if (told.stdout === '') throw new Error(`the second oracle failed: ${told.stderr}`)
    return JSON.parse(told.stdout) as PythonBill
  } finally {
    await rm(folder, { recursive: true })
  }
}
