import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { SpillwayError } from '../../model/errors.ts'

/** Runs a command to its end. Rejects with Unavailable and what it said, or with the signal's reason. */
export type RunCommand = (command: string, args: readonly string[], signal: AbortSignal) => Promise<void>

interface Waiting {
  readonly what: string
  readonly resolve: (said: string) => void
  readonly reject: (error: unknown) => void
}

// ASCII's record separator: no message of a command has it.
const mark = '\u001e'

/**
 * One shell for all small commands, which run in it one after the other. Node's spawn holds up the whole process until
 * the child has got as far as exec: on a busy machine 20 ms for each mount, during which no other Pod gets further. A
 * shell that died is replaced by the next command.
 */
export class CommandShell {
  #shell: ChildProcessWithoutNullStreams | undefined
  #waiting: Waiting[] = []
  #output = ''

  /** What was asked for is done before this rejects with the signal's reason: no mount comes after the tidying up. */
  readonly run: RunCommand = async (command, args, signal) => void (await this.read(command, args, signal))

  /** As `run`, and answers with what it said. */
  async read(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    return await this.#carryOut([command, ...args], (line) => `${line} </dev/null`, signal)
  }

  /** As `run`, with a text for it to read. */
  async feed(
    {
      command,
      args,
      input,
    }: { readonly command: string; readonly args: readonly string[]; readonly input: string },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#carryOut([command, ...args], (line) => `printf %s ${quoted(input)} | ${line}`, signal)
  }

  async #carryOut(
    words: readonly string[],
    inShell: (line: string) => string,
    signal: AbortSignal,
  ): Promise<string> {
    signal.throwIfAborted()
    const shell = (this.#shell ??= this.#start())
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#waiting.push({ what: words.join(' '), resolve, reject })
    this.#hold(shell)
    shell.stdin.write(`${inShell(words.map(quoted).join(' '))} 2>&1; printf '${mark}%d\\n' $?\n`)
    const said = await promise
    signal.throwIfAborted()
    return said
  }

  /** Ends the shell once the commands given so far are done. */
  close(): void {
    this.#shell?.stdin.end()
    this.#shell = undefined
  }

  #start(): ChildProcessWithoutNullStreams {
    const shell = spawn('sh', [])
    this.#output = ''
    const lost = (error?: Error): void => {
      if (this.#shell === shell) this.#shell = undefined
      const waiting = this.#waiting
      this.#waiting = []
      const why = error?.message ?? 'the shell has ended'
      for (const { what, reject } of waiting) reject(new SpillwayError('Unavailable', `${what}: ${why}`))
    }
    shell.on('error', lost)
    shell.on('close', () => lost())
    // Its pipe breaks when it dies; `close` tells of that.
    shell.stdin.on('error', () => undefined)
    shell.stdout.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    // It must not keep a process alive that has nothing else to do.
    shell.unref()
    for (const stream of [shell.stdin, shell.stdout, shell.stderr]) {
      ;(stream as unknown as { unref(): void }).unref()
    }
    return shell
  }

  /** A process that has nothing else to do lives for as long as somebody waits for an answer, and no longer. */
  #hold({ stdout }: ChildProcessWithoutNullStreams): void {
    const pipe = stdout as unknown as { ref(): void; unref(): void }
    if (this.#waiting.length > 0) pipe.ref()
    else pipe.unref()
  }

  #read(text: string): void {
    this.#output += text
    for (;;) {
      const end = this.#output.indexOf('\n', this.#output.indexOf(mark))
      if (end < 0 || !this.#output.includes(mark)) return
      const [said = '', code = ''] = this.#output.slice(0, end).split(mark)
      this.#output = this.#output.slice(end + 1)
      const waiting = this.#waiting.shift()
      if (this.#shell) this.#hold(this.#shell)
      if (code === '0') waiting?.resolve(said)
      else {
        const message = `${waiting?.what}: ${said.trim() || `exit code ${code}`}`
        waiting?.reject(new SpillwayError('Unavailable', message))
      }
    }
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
