import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { probeHttp } from '../../src/dev-cluster/http-probe.ts'
import { mirrorDir, mirrorHostsToml } from '../../src/dev-cluster/registry-mirror.ts'
import type { Story } from './story.ts'

export interface ExtraRegistry {
  /** As images name it, with its port. */
  readonly host: string
  kill(): Promise<void>
  start(): Promise<void>
  /** It takes connections, and answers nothing until it goes on. */
  hang(): Promise<void>
  goOn(): Promise<void>
}

export interface ExtraRegistryOptions {
  readonly name: string
  readonly port: number
  /** Without one, everybody may pull. In `htpasswd`'s form. */
  readonly logins?: string
}

/** Runs beside the cluster's own registry, holds what that holds, and is known to both containerds under its own name. */
export async function startExtraRegistry(
  { cluster, running, signal, until }: Story,
  { name, port, logins }: ExtraRegistryOptions,
): Promise<ExtraRegistry> {
  const { nodeAddress, stateDir, logsDir } = cluster
  const host = `${nodeAddress}:${port}`
  const dir = join(stateDir, name)
  await mkdir(dir, { recursive: true })
  const passwords = join(dir, 'htpasswd')
  if (logins !== undefined) await writeFile(passwords, logins)
  const config = {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(stateDir, 'registry') },
      maintenance: { readonly: { enabled: true } },
    },
    ...(logins !== undefined && { auth: { htpasswd: { realm: 'spillway', path: passwords } } }),
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
    const answers = async (): Promise<boolean> => {
      await running.checkAlive(name)
      const status = await probeHttp({ url: `http://${host}/v2/` }, signal).catch(() => 0)
      return status === (logins === undefined ? 200 : 401)
    }
    await until(`the registry ${name} answers`, answers)
  }
  await start()
  // Another cancels what this one is in the middle of: the story's signal is aborted by its end.
  const { signal: never } = new AbortController()
  return {
    host,
    start,
    kill: async () => await running.killComponent(name, never),
    hang: async () => await running.signalComponent(name, 'SIGSTOP'),
    goOn: async () => await running.signalComponent(name, 'SIGCONT'),
  }
}
