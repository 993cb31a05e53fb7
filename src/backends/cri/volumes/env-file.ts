import { realpath } from 'node:fs/promises'
import { relative } from 'node:path'
import { isBelow } from './mounts.ts'
import { openBelow } from './sub-path.ts'

/** A file in a volume is as long as whoever writes to it wants; one of variables never is. */
const mostBytes = 1024 * 1024

/**
 * Reads a file that containers write: their links must not lead us out of the volume, however they change meanwhile, and
 * what is no file must not hold us up. Rejects when it is not there, too long, or not in the volume.
 */
export async function readEnvFile(volumeDirectory: string, path: string): Promise<string> {
  const root = await realpath(volumeDirectory)
  const resolved = await realpath(`${root}/${path}`)
  if (!isBelow(resolved, root)) throw new Error(`"${path}" leads out of its volume`)
  await using file = await openBelow(root, relative(root, resolved), path)
  const facts = await file.stat()
  if (!facts.isFile()) throw new Error(`"${path}" is no file`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(mostBytes + 1), 0, mostBytes + 1, 0)
  if (bytesRead > mostBytes) throw new Error(`"${path}" is longer than ${mostBytes} bytes`)
  return buffer.subarray(0, bytesRead).toString()
}

/**
 * The value that an env file has for the key; undefined when it has none. Kubelet's strict kind of such files
 * (pkg/kubelet/util/env): `NAME='value'`, taken literally, over several lines if need be, and comments. Throws, with the
 * line, when it is not of that kind before the key is found. Pure.
 */
export function envFileValue(text: string, key: string): string | undefined {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  for (let index = 0; index < lines.length; index += 1) {
    const number = index + 1
    const line = trimStart(lines[index] ?? '')
    if (line === '' || line.startsWith('#')) continue
    const { name, rest } = assignment(line, number)
    // As in a shell: a blank after the sign, and nothing is assigned.
    if (rest !== trimStart(rest)) {
      if (name === key) return undefined
      continue
    }
    if (!rest.startsWith("'")) throw invalid(number, 'value must be enclosed in single quotes')
    let value = rest.slice(1)
    while (!value.includes("'")) {
      index += 1
      const next = lines[index]
      if (next === undefined) throw invalid(number, 'unclosed single quote')
      value += `\n${next}`
    }
    const end = value.indexOf("'")
    const after = trimStart(value.slice(end + 1))
    if (after !== '' && !after.startsWith('#')) {
      throw invalid(index + 1, 'unexpected content after closing quote')
    }
    if (name === key) return value.slice(0, end) || undefined
  }
  return undefined
}

function assignment(line: string, number: number): { readonly name: string; readonly rest: string } {
  const sign = line.indexOf('=')
  if (sign < 0) throw invalid(number, "missing '='")
  const name = line.slice(0, sign)
  if (name.trim() === '') throw invalid(number, 'empty variable name')
  if (/[ \t]$/.test(name)) throw invalid(number, "whitespace before '=' is not allowed")
  return { name, rest: line.slice(sign + 1) }
}

function trimStart(text: string): string {
  return text.replace(/^[ \t]+/, '')
}

function invalid(line: number, why: string): Error {
  return new Error(`invalid environment variable format at line ${line}: ${why}`)
}
