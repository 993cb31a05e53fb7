import type { FileHandle } from 'node:fs/promises'
import { parseLogLine } from './log-line.ts'

const blockBytes = 64 * 1024
const newline = 0x0a

/**
 * Where the last `lines` lines of a log begin, found from the end, so that the tail of a large log costs no more than
 * that of a small one. Lines are those of the program: the parts that the runtime cut a long line into count as one
 * (kubelet counts each part, and shows the end of a line as if it were all of it).
 */
export async function tailStart(
  file: FileHandle,
  { lines, sizeBytes }: { readonly lines: number; readonly sizeBytes: number },
): Promise<number> {
  let found = 0
  let tail = Buffer.alloc(0)
  let position = sizeBytes
  // The start of the physical line that was looked at last.
  let lineStart = sizeBytes
  while (position > 0) {
    const length = Math.min(blockBytes, position)
    position -= length
    tail = Buffer.concat([await readExactly(file, { position, length }), tail])
    let end = tail.length
    for (;;) {
      // The newline at the very end closes the line that begins before it.
      const before = tail.lastIndexOf(newline, end - 2)
      if (end < 2 || before < 0) break
      if (endsLine(tail.subarray(before + 1, end), lineStart === sizeBytes)) found += 1
      if (found > lines) return lineStart
      end = before + 1
      lineStart = position + end
    }
    tail = tail.subarray(0, end)
  }
  if (tail.length > 0 && endsLine(tail, lineStart === sizeBytes)) found += 1
  return found > lines ? lineStart : 0
}

/** A part is the end of a line only while nothing follows it. */
function endsLine(line: Buffer, isLast: boolean): boolean {
  return isLast || (parseLogLine(line)?.full ?? true)
}

async function readExactly(
  file: FileHandle,
  { position, length }: { readonly position: number; readonly length: number },
): Promise<Buffer> {
  const block = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(block, filled, length - filled, position + filled)
    // Only when the file was cut short meanwhile.
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return block.subarray(0, filled)
}
