import { join } from 'node:path'
import type { ClusterLayout } from './cluster-layout.ts'
import type { CommandOptions } from './command.ts'
import { runInside, type ClusterNamespace } from './namespace.ts'
import { mirrorDir, upstreams, writeMirrorConfig } from './registry-mirror.ts'
import { readIfThere, writeIfChanged } from './write-if-changed.ts'

/** The name servers of everything inside; mounted over `/etc/resolv.conf` there. */
export function resolvConfFile({ stateDir }: Pick<ClusterLayout, 'stateDir'>): string {
  return join(stateDir, 'resolv.conf')
}

/**
 * Finds out what the cluster reaches of the world outside, and leaves out the rest, so that nobody inside waits for those
 * who never answer: name servers, and registries of images. Takes three seconds at most. Done by each start, since a
 * machine may have been taken to another network.
 */
export async function findWayOut(
  { layout, namespace, registryUrl }: WayOutOptions,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const lines = ((await readIfThere('/etc/resolv.conf')) ?? '').split('\n')
  const answering = await answeringNameServers(namespace, nameServersOf(lines), command, signal)
  const kept = lines.filter((line) => nameServersOf([line]).every((server) => answering.has(server)))
  await writeIfChanged(resolvConfFile(layout), kept.join('\n'))
  const reachable = await reachableUpstreams(namespace, command, signal)
  await writeMirrorConfig(mirrorDir(layout), registryUrl, reachable)
}

export interface WayOutOptions {
  readonly layout: Pick<ClusterLayout, 'stateDir'>
  readonly namespace: ClusterNamespace
  /** Of the cluster's own registry. */
  readonly registryUrl: string
}

function nameServersOf(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
}

const nameServerMs = 1_000
const registryMs = 2_000

// Prints the servers that say anything at all, if only that they do not know.
const nameServerScript = `
const { Resolver } = require('node:dns')
for (const server of JSON.parse(process.argv[1])) {
  const resolver = new Resolver({ timeout: ${nameServerMs}, tries: 1, maxTimeout: ${nameServerMs} })
  resolver.setServers([server])
  resolver.resolve4('registry.k8s.io', (error) => {
    if (!error || ['ENODATA', 'ENOTFOUND', 'ESERVFAIL', 'EREFUSED'].includes(error.code)) process.stdout.write(server + '\\n')
  })
}
`

/** Which of the name servers answer from inside, where none on the machine's loopback can be reached. */
export async function answeringNameServers(
  namespace: ClusterNamespace,
  servers: readonly string[],
  command: CommandOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  // Addresses with a zone ("fe80::1%eth0") name a link of the machine that is not there inside.
  const usable = servers.filter((server) => !server.includes('%'))
  return usable.length === 0
    ? new Set()
    : await probeInside(namespace, { script: nameServerScript, targets: usable }, command, signal)
}

// Prints the names of the targets that answer. A connection is not enough: there are networks that take any, to anywhere.
// It kills itself in the end: exiting would wait for names that are being resolved.
const registryScript = `
const end = AbortSignal.timeout(${registryMs})
end.onabort = () => process.kill(process.pid, 'SIGKILL')
for (const [name, url] of JSON.parse(process.argv[1])) {
  const { get } = require(url.startsWith('https:') ? 'node:https' : 'node:http')
  const request = get(url, { agent: false, rejectUnauthorized: false }, (answer) => {
    process.stdout.write(name + '\\n')
    answer.destroy()
  })
  request.on('error', () => {})
}
`

/**
 * The well-known registries that can be reached from inside the cluster, directly or by the proxy that the environment
 * names.
 */
export async function reachableUpstreams(
  namespace: ClusterNamespace,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { environment } = command
  const proxy = environment['HTTPS_PROXY'] ?? environment['https_proxy']
  const targets = Object.entries(upstreams).map(([name, url]) => [name, proxy || `${url}/v2/`])
  return await probeInside(namespace, { script: registryScript, targets }, command, signal)
}

/** Runs a script of Node inside; answers with the lines that it wrote. */
async function probeInside(
  namespace: ClusterNamespace,
  { script, targets }: { readonly script: string; readonly targets: readonly unknown[] },
  command: CommandOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const argv = [process.execPath, '-e', script, JSON.stringify(targets)]
  const { stdout } = await runInside(namespace, argv, { ...command, timeoutMs: 10_000 }, signal)
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}
