import { open, readFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'

const intent = '"kind":"INTENT"'

/**
 * In the first event of a Pod, on the disk and past all of SQLite; wherever it stands, for SQLite leaves behind what it has
 * moved. The file stays the one that is open.
 */
export async function turnABit(file: string, podUid: string): Promise<void> {
  const database = new DatabaseSync(file)
  database.exec('pragma busy_timeout = 5000')
  database.exec('pragma wal_checkpoint(truncate)')
  database.close()
  const bytes = await readFile(file)
  const disk = await open(file, 'r+')
  let turned = 0
  for (let at = bytes.indexOf(intent); at >= 0; at = bytes.indexOf(intent, at + 1)) {
    const next = bytes.indexOf('"kind":"', at + 1)
    const body = bytes.subarray(at, next < 0 ? undefined : next)
    const within = body.indexOf('"node":"burst-0"')
    if (within < 0 || !body.includes(podUid)) continue
    await disk.write(Buffer.from('c'), 0, 1, at + within + '"node":"'.length)
    turned += 1
  }
  await disk.sync()
  await disk.close()
  if (turned === 0) throw new Error(`${file} has no first event of Pod ${podUid}`)
}
