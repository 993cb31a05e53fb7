import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface FarSide {
  /** Removes it, and everything in it. */
  remove(): Promise<void>
}

export interface FarSideOptions {
  /** Of the namespace and of the wire to it; at most 13 characters. */
  readonly name: string
  /** This machine's address on the wire, as in `198.18.7.1/24`. */
  readonly near: string
  /** Addresses there; what it answers at each port is the address. */
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
}

const server = `
const { createServer } = require('node:http')
const ports = process.argv.slice(1).map(Number)
const answer = (request, response) => response.end(request.socket.localAddress)
Promise.all(ports.map((port) => new Promise((up) => createServer(answer).listen(port, '0.0.0.0', up)))).then(() =>
  console.log('up'),
)
`

/** A network namespace of the test's own, which this machine routes to: what lies beyond the machine, with no way further. */
export async function openFarSide(options: FarSideOptions): Promise<FarSide> {
  const { name, near, addresses, ports } = options
  const ip = (...args: readonly string[]) => run('ip', [...args])
  let child: ChildProcess | undefined
  const remove = async (): Promise<void> => {
    if (child?.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit')
    await ip('netns', 'delete', name).catch(() => undefined)
    await ip('link', 'delete', name).catch(() => undefined)
  }
  try {
    // Of a run that was killed.
    await remove()
    await ip('netns', 'add', name)
    await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    await ip('address', 'add', near, 'dev', name)
    await ip('link', 'set', name, 'up')
    for (const address of addresses) await ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', name, 'link', 'set', 'eth0', 'up')
    await ip('-n', name, 'route', 'add', 'default', 'via', near.split('/')[0] ?? '')
    const argv = ['netns', 'exec', name, process.execPath, '-e', server, ...ports.map(String)]
    child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
    if (child.stdout) await once(child.stdout, 'data')
    return { remove }
  } catch (error) {
    await remove()
    throw error
  }
}
