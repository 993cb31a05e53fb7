import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { getBinaries } from '../../src/dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../../src/dev-cluster/cache-dir.ts'
import type { BinaryName, Component } from '../../src/dev-cluster/components.ts'
import { unpackPackages } from '../../src/dev-cluster/debian-packages.ts'
import { createTerminalProgress } from '../../src/dev-cluster/progress.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Story } from './story.ts'

const module = 'github.com/cloudnativelabs/kube-router/v2'
const version = 'v2.1.0'
// Of the tests alone: what clusters are made of does not know it.
const kubeRouter = 'kube-router' as BinaryName
const component: Component = {
  name: 'kube-router',
  version,
  module,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: { [`${module}/pkg/version.Version`]: version },
  diskMegabytes: 1200,
  steps: [{ weightSeconds: 170, binaries: [{ name: kubeRouter, package: `${module}/cmd/kube-router` }] }],
}

/**
 * Starts the firewall of kube-router in the cluster, which enforces NetworkPolicies by iptables and ipset for whatever CNI
 * plugins there are. It goes with the cluster. The two programs are unpacked for it alone: what else uses iptables where
 * they are installed, a kubelet for one, goes on without.
 */
export async function startKubeRouter({ cluster, running, signal }: Story): Promise<void> {
  const environment = process.env
  const invoker = await findInvoker(environment, process.getuid?.() ?? 0, signal)
  const cacheDir = userCacheDir(environment, invoker)
  const progress = createTerminalProgress(process.stderr, systemClock)
  const places = { cacheDir, environment, invoker, progress, table: [component] }
  const file = (await getBinaries([kubeRouter], places, signal)).get(kubeRouter)
  if (file === undefined) throw new Error('kube-router was not built')
  const tools = await unpackTools(join(cluster.stateDir, 'kube-router'), signal)
  const args = [
    '--run-firewall=true',
    '--run-router=false',
    '--run-service-proxy=false',
    `--kubeconfig=${cluster.kubeconfig}`,
    `--hostname-override=${cluster.serverNode}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--iptables-sync-period=10s',
  ]
  const path = `${tools.programs}:${environment['PATH']}`
  const libraries = { LD_LIBRARY_PATH: tools.libraries, XTABLES_LIBDIR: join(tools.libraries, 'xtables') }
  const program = { file, args, environment: { ...environment, ...libraries, PATH: path } }
  const logFile = join(cluster.logsDir, 'kube-router.log')
  await running.launch('kube-router', { program, workingDir: cluster.stateDir, logFile }, signal)
}

async function unpackTools(
  dir: string,
  signal: AbortSignal,
): Promise<{ readonly programs: string; readonly libraries: string }> {
  await mkdir(dir, { recursive: true })
  const workDir = await mkdtemp(join(dir, 'packages-'))
  const root = await unpackPackages(
    ['iptables', 'ipset'],
    {
      environment: process.env,
      runAs: undefined,
      workDir,
      wantDependency: (name) => /^lib(xtables|nftnl|ip4tc|ip6tc|ipset|nfnetlink|netfilter|mnl)/.test(name),
    },
    signal,
  )
  for (const archive of await readdir(workDir)) if (archive.endsWith('.deb')) await rm(join(workDir, archive))
  const programs = join(root, 'usr/sbin')
  // What the package does when it is installed.
  for (const name of ['iptables', 'ip6tables']) {
    for (const suffix of ['', '-save', '-restore'])
      await symlink('xtables-nft-multi', join(programs, name + suffix))
  }
  const [machine = ''] = (await readdir(join(root, 'usr/lib'))).filter((name) => name.includes('-linux-'))
  return { programs, libraries: join(root, 'usr/lib', machine) }
}
