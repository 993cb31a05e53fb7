import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import {
  cniConflist,
  containerdConfig,
  corefile,
  kubeletConfig,
  kubeletDir,
  kubeletFlags,
} from './node-configs.ts'
import { kubeProxyConfig, registryConfig } from './node-configs.ts'
import { dnsUser } from './cluster-services.ts'
import type { ClusterShape } from './cluster-file.ts'
import { serverNodeName, type ClusterLayout, type ContainerdLayout } from './cluster-layout.ts'
import type { BinaryName } from './components.ts'
import { kubeconfigWriter, openControlPlanePki, type ControlPlanePki } from './control-plane-pki.ts'
import {
  controlPlaneComponents,
  controlPlaneProgram,
  type ControlPlanePlan,
} from './control-plane-programs.ts'
import { virtualNodeNames } from './embedded-cluster.ts'
import { gvisorConfig, gvisorConfigFile, gvisorPrograms } from './gvisor/runtime-config.ts'
import { mirrorDir } from './registry-mirror.ts'
import type { Program } from './process.ts'
import { createSpillwayIdentity, issueNodeCertificates, type SpillwayIdentity } from './spillway-identity.ts'
import { writeIfChanged, writeJsonIfChanged } from './write-if-changed.ts'

export interface EmbeddedProgramsOptions {
  readonly layout: ClusterLayout
  readonly shape: ClusterShape
  /** All that `embeddedBinaries` names, runc, and gVisor’s where they could be had. */
  readonly binaries: ReadonlyMap<BinaryName | 'runc', string>
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly machine: { readonly cores: number; readonly memoryBytes: number }
  readonly hasAppArmor: boolean
  readonly nowMs: number
}

/** What the components of an embedded cluster are started with; the files that they read are written. */
export interface EmbeddedPrograms {
  readonly plan: ControlPlanePlan
  readonly spillway: SpillwayIdentity
  readonly programs: ReadonlyMap<string, Program>
}

export const embeddedBinaries: readonly BinaryName[] = [
  ...controlPlaneComponents,
  ...(['kubelet', 'kube-proxy', 'containerd', 'ctr', 'containerd-shim-runc-v2'] as const),
  ...(['bridge', 'loopback', 'host-local', 'portmap', 'bandwidth', 'registry', 'coredns'] as const),
]

/** Writes certificates, kubeconfigs and configuration files of every component. */
export async function prepareEmbeddedPrograms(options: EmbeddedProgramsOptions): Promise<EmbeddedPrograms> {
  const { layout, shape, nowMs } = options
  const site = {
    stateDir: layout.stateDir,
    clusterName: `spillway-${layout.name}`,
    address: layout.nodeAddress,
    apiServerPort: layout.ports.apiServer,
    nowMs,
  }
  const pki = await openControlPlanePki(site)
  const virtualNodes = virtualNodeNames(shape.virtualNodes)
  const spillway = await createSpillwayIdentity({ ...site, pki, virtualNodes: [] })
  const clientKubeconfig = async (fileName: string, user: string): Promise<string> => {
    const request = { fileName, commonName: user, usages: ['client'] as const }
    const certificate = await pki.authority.issue(request, nowMs)
    return kubeconfigWriter(site, pki.authority)(`${fileName}.kubeconfig`, certificate)
  }
  const plan = controlPlanePlan(options, pki)
  const programs = new Map<string, Program>()
  for (const name of controlPlaneComponents) programs.set(name, controlPlaneProgram(name, plan))
  programs.set('containerd-virtual', await containerdProgram(layout.virtualContainerd, options))
  programs.set('registry', await registryProgram(options))
  const localNode = shape.serverNode ? serverNodeName : (virtualNodes[0] ?? serverNodeName)
  const proxyKubeconfig = await clientKubeconfig('kube-proxy', 'system:kube-proxy')
  programs.set('kube-proxy', await kubeProxyProgram(proxyKubeconfig, localNode, options))
  programs.set('coredns', await corednsProgram(await clientKubeconfig('coredns', dnsUser), options))
  if (shape.serverNode) {
    programs.set('containerd-server', await containerdProgram(layout.serverContainerd, options))
    programs.set('kubelet', await kubeletProgram(pki, options))
  }
  return { plan, spillway, programs }
}

function controlPlanePlan(options: EmbeddedProgramsOptions, pki: ControlPlanePki): ControlPlanePlan {
  const { layout, environment, binaries } = options
  return {
    stateDir: layout.stateDir,
    binaries: binaries as ReadonlyMap<BinaryName, string>,
    environment,
    address: layout.nodeAddress,
    publishesEndpoint: true,
    ports: layout.ports,
    pki,
    forgetful: false,
    extraArguments: {},
  }
}

async function containerdProgram(
  containerd: ContainerdLayout,
  options: EmbeddedProgramsOptions,
): Promise<Program> {
  const { layout, binaries, environment, hasAppArmor } = options
  await mkdir(containerd.rootDir, { recursive: true, mode: 0o711 })
  await mkdir(containerd.cniConfDir, { recursive: true })
  await writeIfChanged(
    containerd.configFile,
    containerdConfig({ containerd, binaries, certsDir: mirrorDir(layout), hasAppArmor }),
  )
  const gvisor = gvisorPrograms(binaries)
  if (gvisor) await writeIfChanged(gvisorConfigFile(containerd), gvisorConfig(gvisor, containerd))
  await writeJsonIfChanged(join(containerd.cniConfDir, '10-spillway.conflist'), cniConflist(containerd))
  return program(options, 'containerd', [`--config=${containerd.configFile}`], environment)
}

async function registryProgram(options: EmbeddedProgramsOptions): Promise<Program> {
  const configFile = join(options.layout.stateDir, 'registry.json')
  await writeJsonIfChanged(configFile, registryConfig(options.layout))
  return program(options, 'registry', ['serve', configFile], {
    ...options.environment,
    // It traces to localhost:4318 by default and complains that nobody is there.
    OTEL_TRACES_EXPORTER: 'none',
  })
}

async function kubeProxyProgram(
  kubeconfig: string,
  localNode: string,
  options: EmbeddedProgramsOptions,
): Promise<Program> {
  const configFile = join(options.layout.stateDir, 'kube-proxy.json')
  await writeJsonIfChanged(configFile, kubeProxyConfig(kubeconfig, localNode))
  return program(options, 'kube-proxy', [`--config=${configFile}`])
}

async function corednsProgram(kubeconfig: string, options: EmbeddedProgramsOptions): Promise<Program> {
  const configFile = join(options.layout.stateDir, 'Corefile')
  await writeIfChanged(configFile, corefile(options.layout, kubeconfig))
  return program(options, 'coredns', ['-conf', configFile])
}

async function kubeletProgram(pki: ControlPlanePki, options: EmbeddedProgramsOptions): Promise<Program> {
  const { layout, machine, shape, nowMs } = options
  const certificates = await issueNodeCertificates(pki.authority, serverNodeName, layout.nodeAddress, nowMs)
  const write = kubeconfigWriter(
    {
      stateDir: layout.stateDir,
      clusterName: `spillway-${layout.name}`,
      address: layout.nodeAddress,
      apiServerPort: layout.ports.apiServer,
    },
    pki.authority,
  )
  const kubeconfig = await write('kubelet.kubeconfig', certificates.client)
  await mkdir(kubeletDir(layout), { recursive: true, mode: 0o750 })
  const caFile = pki.authority.certFile
  await writeJsonIfChanged(
    join(kubeletDir(layout), 'config.json'),
    kubeletConfig({ layout, certificates, caFile, machine, serverCpu: shape.serverCpu }),
  )
  return program(options, 'kubelet', kubeletFlags(layout, kubeconfig))
}

function program(
  options: EmbeddedProgramsOptions,
  name: BinaryName,
  args: readonly string[],
  environment = options.environment,
): Program {
  const file = options.binaries.get(name)
  if (file === undefined) throw new SpillwayError('Environment', `no binary is given for ${name}`)
  return { file, args, environment }
}
