import { describe, expect, it } from 'vitest'
import { clusterLayout } from '../../../src/dev-cluster/cluster-layout.ts'
import type { BinaryName } from '../../../src/dev-cluster/components.ts'
import { gvisorConfig, gvisorPrograms } from '../../../src/dev-cluster/gvisor/runtime-config.ts'
import { containerdConfig } from '../../../src/dev-cluster/node-configs.ts'

const { virtualContainerd: containerd } = clusterLayout('test', 1)
const ours: readonly (BinaryName | 'runc')[] = [
  ...([
    'runc',
    'containerd-shim-runc-v2',
    'bridge',
    'loopback',
    'host-local',
    'portmap',
    'bandwidth',
  ] as const),
]
const gvisors: readonly BinaryName[] = ['runsc', 'containerd-shim-runsc-v1']

function configWith(names: readonly (BinaryName | 'runc')[]): string {
  const binaries = new Map(names.map((name) => [name, `/bin/${name}`]))
  return containerdConfig({ containerd, binaries, certsDir: '/certs', hasAppArmor: false })
}

describe('containerd’s configuration', () => {
  it('has gVisor beside runc, which stays the default', () => {
    const config = configWith([...ours, ...gvisors])
    expect(config).toContain('default_runtime_name = "runc"')
    expect(config).toContain('runtime_path = "/bin/containerd-shim-runsc-v1"')
    expect(config).toContain('runtime_type = "io.containerd.runsc.v1"')
    expect(config).toContain('ConfigPath = "/var/lib/spillway/test/containerd-virtual/runsc.toml"')
  })

  it('has nothing of gVisor where one of its two programs is missing', () => {
    for (const name of gvisors) expect(configWith([...ours, name])).toBe(configWith(ours))
    expect(configWith(ours)).not.toContain('runsc')
  })
})

it('the shim is told which program to run, and where that keeps its state', () => {
  const programs = gvisorPrograms(new Map(gvisors.map((name) => [name, `/bin/${name}`])))
  if (!programs) throw new Error('both are there')
  expect(gvisorConfig(programs, containerd)).toBe(`binary_name = "/bin/runsc"
root = "/run/containerd/virtual/runsc"

[runsc_config]
platform = "systrap"
net-raw = "true"
`)
})
