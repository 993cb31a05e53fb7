import type { BinaryName } from '../components.ts'
import type { ContainerdLayout } from '../cluster-layout.ts'
import { join } from 'node:path'

export interface GvisorPrograms {
  readonly runsc: string
  readonly shim: string
}

/** Undefined: this cluster is without. */
export function gvisorPrograms(
  binaries: ReadonlyMap<BinaryName | 'runc', string>,
): GvisorPrograms | undefined {
  const runsc = binaries.get('runsc')
  const shim = binaries.get('containerd-shim-runsc-v1')
  return runsc === undefined || shim === undefined ? undefined : { runsc, shim }
}

/** Where containerd tells the shim to read its own configuration. */
export function gvisorConfigFile({ rootDir }: Pick<ContainerdLayout, 'rootDir'>): string {
  return join(rootDir, '..', 'runsc.toml')
}

/**
 * The shim's configuration. systrap works on any machine, also inside a virtual machine or a container. Raw sockets as
 * under runc, where the capability is in containerd's default set: `ping` needs one.
 */
export function gvisorConfig(
  { runsc }: GvisorPrograms,
  { stateDir }: Pick<ContainerdLayout, 'stateDir'>,
): string {
  return `binary_name = ${JSON.stringify(runsc)}
root = ${JSON.stringify(join(stateDir, 'runsc'))}

[runsc_config]
platform = "systrap"
net-raw = "true"
`
}

/** The part of containerd's configuration below its table of runtimes; `table` as in `plugins."…".containerd`. */
export function gvisorRuntime({ shim }: GvisorPrograms, table: string, configFile: string): string {
  return `
[${table}.runtimes.runsc]
runtime_type = "io.containerd.runsc.v1"
runtime_path = ${JSON.stringify(shim)}

[${table}.runtimes.runsc.options]
TypeUrl = "io.containerd.runsc.v1.options"
ConfigPath = ${JSON.stringify(configFile)}
`
}
