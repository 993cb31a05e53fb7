import { spawn } from 'node:child_process'
import { join } from 'node:path'

export interface SpillwayResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program as a user would, to its end. */
export async function runSpillway(...args: readonly string[]): Promise<SpillwayResult> {
  const program = join(import.meta.dirname, '../../bin/spillway.mjs')
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const told = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (told.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (told.stderr += text))
  const { promise, resolve } = Promise.withResolvers<number>()
  child.on('close', (code) => resolve(code ?? 1))
  return { code: await promise, ...told }
}
