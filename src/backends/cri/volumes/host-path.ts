import { mkdir, open, stat } from 'node:fs/promises'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { Volume } from '../../../model/kubernetes.ts'
import { isMissing } from './atomic-writer.ts'

type HostPath = NonNullable<Volume['hostPath']>

const sentences: Readonly<Record<string, string>> = {
  Directory: 'directory',
  File: 'file',
  Socket: 'socket file',
  CharDevice: 'character device',
  BlockDevice: 'block device',
}

/**
 * Checks a path of this machine against the type that the Pod asks for; the `…OrCreate` types make what is missing
 * (pkg/volume/hostpath). Rejected, with kubelet's sentence: it is something else, or not there. Without a type anything
 * goes, and the runtime makes a directory of what is missing.
 */
export async function checkHostPath({ path, type = '' }: HostPath): Promise<void> {
  if (path.split('/').includes('..')) refuse(`invalid HostPath \`${path}\`: must not contain '..'`)
  if (type === '') return
  const wanted = type.replace(/OrCreate$/, '')
  const sentence = sentences[wanted]
  if (sentence === undefined || (wanted !== type && !['Directory', 'File'].includes(wanted))) {
    refuse(`${type} is an invalid volume type`)
  }
  const found = await typeOf(path)
  if (wanted !== type && found.missing) return await make(path, wanted)
  if (found.type === wanted) return
  if (found.type !== undefined) {
    refuse(`hostPath type check failed: ${path} is not a ${sentence}, it's a ${found.type}`)
  }
  refuse(
    `hostPath type check failed, ${path} is not a ${sentence}, unable to determine its type: ${found.problem}`,
  )
}

interface Found {
  readonly type?: string
  readonly problem?: string
  readonly missing?: boolean
}

async function typeOf(path: string): Promise<Found> {
  try {
    const stats = await stat(path)
    if (stats.isDirectory()) return { type: 'Directory' }
    if (stats.isFile()) return { type: 'File' }
    if (stats.isSocket()) return { type: 'Socket' }
    if (stats.isCharacterDevice()) return { type: 'CharDevice' }
    if (stats.isBlockDevice()) return { type: 'BlockDevice' }
    return { problem: 'only recognise file, directory, socket, block device and character device' }
  } catch (error) {
    if (isMissing(error)) return { problem: `path "${path}" does not exist`, missing: true }
    return { problem: errorMessage(error) }
  }
}

async function make(path: string, type: string): Promise<void> {
  if (type === 'Directory') await mkdir(path, { recursive: true, mode: 0o755 })
  // Never emptied, should somebody else have made it in the meantime.
  else await (await open(path, 'a', 0o644)).close()
}

function refuse(message: string): never {
  throw new SpillwayError('Rejected', message)
}
