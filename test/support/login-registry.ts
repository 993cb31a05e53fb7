import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { probeHttp } from '../../src/dev-cluster/http-probe.ts'
import { mirrorDir, mirrorHostsToml } from '../../src/dev-cluster/registry-mirror.ts'
import type { Story } from './story.ts'

/** An image registry that lets nobody in without a login; it holds what the cluster's own registry holds. */
export interface LoginRegistry {
  /** As images name it, with its port. */
  readonly host: string
  readonly user: string
  readonly password: string
  kill(): Promise<void>
  start(): Promise<void>
}

const port = 5443
const name = 'registry-with-login'
const user = 'puller'
const password = 'let-me-in'
// The registry knows bcrypt only, and Node does not have it.
const htpasswd = `${user}:$2y$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG\n`

/** Runs beside the cluster's registry, and on both containerds under its own name. */
export async function startLoginRegistry({ cluster, running, signal, until }: Story): Promise<LoginRegistry> {
  const { nodeAddress, stateDir, logsDir } = cluster
  const host = `${nodeAddress}:${port}`
  const dir = join(stateDir, name)
  await mkdir(dir, { recursive: true })
  const passwords = join(dir, 'htpasswd')
  await writeFile(passwords, htpasswd)
  const config = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(stateDir, 'registry') },
      maintenance: { readonly: { enabled: true } },
    },
    auth: { htpasswd: { realm: 'spillway', path: passwords } },
    http: { addr: host },
  }
  await writeFile(join(dir, 'config.json'), JSON.stringify(config))
  await mkdir(join(mirrorDir(cluster), host), { recursive: true })
  await writeFile(join(mirrorDir(cluster), host, 'hosts.toml'), mirrorHostsToml(`http://${host}`))
  const own = running.file.components['registry']?.program
  if (!own) throw new Error('the cluster has no registry')
  const program = { ...own, args: ['serve', join(dir, 'config.json')] }
  const start = async (): Promise<void> => {
    await running.launch(name, { program, workingDir: dir, logFile: join(logsDir, `${name}.log`) }, signal)
    const asksForLogin = async (): Promise<boolean> => {
      await running.checkAlive(name)
      return (await probeHttp({ url: `http://${host}/v2/` }, signal).catch(() => 0)) === 401
    }
    await until('the registry asks for a login', asksForLogin)
  }
  await start()
  // Another cancels what this one is in the middle of: the story's signal is aborted by its end.
  const { signal: never } = new AbortController()
  return { host, user, password, start, kill: async () => await running.killComponent(name, never) }
}
