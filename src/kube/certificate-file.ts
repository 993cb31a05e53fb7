import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { PemPair } from '../model/pem-pair.ts'

/**
 * Certificate and key in one file, as in kubelet's `kubelet-server-current.pem`: replaced as a whole, so that there is
 * never half of a pair.
 */
export async function readPair(file: string): Promise<PemPair | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const blocks = text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n?/g) ?? []
  const cert = blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE-----')).join('')
  const key = blocks.find((block) => block.includes('PRIVATE KEY-----'))
  return cert && key ? { cert, key } : undefined
}

export async function writePair(file: string, { cert, key }: PemPair): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.new`
  const handle = await open(draft, 'w', 0o600)
  try {
    // One that was left behind may have been made with other rights.
    await handle.chmod(0o600)
    await handle.writeFile(`${cert.trimEnd()}\n${key.trimEnd()}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
}
