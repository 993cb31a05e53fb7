import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { terminationFile, type PodPaths } from '../paths.ts'

/** What a container writes to from its first moment: the file for its last words, the folder of its log. */
export async function makeContainerFiles(
  { podDir, logDir }: Pick<PodPaths, 'podDir' | 'logDir'>,
  { name, attempt }: { readonly name: string; readonly attempt: number },
): Promise<void> {
  await Promise.all([
    makeTerminationFile(terminationFile(podDir, name, attempt)),
    mkdir(join(logDir, name), { recursive: true, mode: 0o755 }),
  ])
}

async function makeTerminationFile(message: string): Promise<void> {
  await mkdir(dirname(message), { recursive: true, mode: 0o750 })
  await writeFile(message, '')
  // Writable for whatever user the container runs as, whatever our umask is.
  await chmod(message, 0o666)
}
