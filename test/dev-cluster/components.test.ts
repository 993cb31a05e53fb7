import { describe, expect, it } from 'vitest'
import { allBinaries, buildArguments, clusterBinaries, planBuilds } from '../../src/dev-cluster/binaries.ts'
import {
  cacheFolder,
  componentOf,
  components,
  componentsWith,
  kubernetesVersion,
  specsOf,
} from '../../src/dev-cluster/components.ts'
import { corednsMain } from '../../src/dev-cluster/go-mains.ts'

describe('the table of components', () => {
  it('names every binary once', () => {
    expect(new Set(allBinaries).size).toBe(allBinaries.length)
    for (const name of allBinaries)
      expect(specsOf(componentOf(name)).map((spec) => spec.name)).toContain(name)
  })

  it('pins every version exactly', () => {
    // A release, or one commit of a project that makes none for Go.
    for (const { version } of components) expect(version).toMatch(/^v\d+\.\d+\.\d+(-\d{14}-[0-9a-f]{12})?$/)
  })

  it('has for every binary a package of its module, or a main of ours', () => {
    for (const component of components) {
      for (const spec of specsOf(component)) {
        if (component.mainSource !== undefined) expect(spec.package).toBeUndefined()
        // ginkgo comes with the version that Kubernetes requires of it.
        else expect(spec.package).toMatch(new RegExp(`^(${component.module}|github.com/onsi/ginkgo/v2)/?`))
      }
    }
  })

  it('never takes from the machine what shares its name with another program', () => {
    // iproute2 installs /usr/sbin/bridge.
    const bridge = specsOf(componentOf('bridge')).find(({ name }) => name === 'bridge')
    expect(bridge?.versionArguments).toBeUndefined()
  })

  it('leaves upstream’s tests and metrics-server out of what a cluster is made of', () => {
    const left = allBinaries.filter((name) => !clusterBinaries.includes(name))
    expect(left).toEqual(['nnp', 'e2e.test', 'ginkgo', 'metrics-server', 'test-shell'])
  })

  it('keeps binaries in the cache by component and version', () => {
    expect(cacheFolder(componentOf('kubelet'))).toBe(`kubernetes/${kubernetesVersion}`)
    expect(cacheFolder(componentOf('ctr'))).toBe('containerd/v2.4.2')
    expect(cacheFolder(componentOf('portmap'))).toBe('cni-plugins/v1.9.1')
  })

  it('keeps an older control plane beside it, and shares the rest', () => {
    for (const version of ['v1.30.14', kubernetesVersion]) {
      const table = componentsWith(version)
      expect(table.map(({ name }) => name)).toEqual(components.map(({ name }) => name))
      expect(cacheFolder(componentOf('kube-apiserver', table))).toBe(`kubernetes/${version}`)
      expect(componentOf('etcd', table)).toBe(componentOf('etcd'))
    }
  })

  it('gives a main of ours another folder when its source changes', () => {
    const coredns = componentOf('coredns')
    const other = { ...coredns, mainSource: corednsMain(['forward']) }
    expect(cacheFolder(coredns)).toMatch(/^coredns\/v1\.15\.0-[0-9a-f]{8}$/)
    expect(cacheFolder(other)).not.toBe(cacheFolder(coredns))
  })
})

describe('the build plan', () => {
  it('builds only what is missing, the API server before what shares its packages', () => {
    const plan = planBuilds(new Set(['etcd', 'kubelet', 'kube-apiserver'] as const))
    expect(
      plan.map(({ component, steps }) => [
        component.name,
        steps.flatMap((step) => step.binaries.map(({ name }) => name)),
      ]),
    ).toEqual([
      ['kubernetes', ['kube-apiserver', 'kubelet']],
      ['etcd', ['etcd']],
    ])
  })

  it('builds what belongs together in one call', () => {
    const [build] = planBuilds(new Set(['loopback'] as const))
    expect(build?.steps[0]?.binaries.map(({ name }) => name)).toEqual([
      'bridge',
      'loopback',
      'host-local',
      'portmap',
      'bandwidth',
    ])
  })

  it('leaves no path of this machine in the binaries, and stamps the version', () => {
    const [build] = planBuilds(new Set(['kubelet'] as const))
    if (build?.steps[0] === undefined) throw new Error('no plan')
    expect(buildArguments(build.component, build.steps[0], '/out/kubelet')).toEqual([
      'build',
      '-trimpath',
      '-ldflags',
      '-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37 -X k8s.io/component-base/version.gitTreeState=clean',
      '-o',
      '/out/kubelet',
      'k8s.io/kubernetes/cmd/kubelet',
    ])
  })

  it('stamps an older version on what is built of it', () => {
    const [build] = planBuilds(new Set(['kube-scheduler'] as const), componentsWith('v1.30.14'))
    if (build?.steps[0] === undefined) throw new Error('no plan')
    expect(buildArguments(build.component, build.steps[0], '/out/kube-scheduler')).toContain(
      '-s -w -X k8s.io/component-base/version.gitVersion=v1.30.14 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=30 -X k8s.io/component-base/version.gitTreeState=clean',
    )
  })

  it('builds upstream’s tests as a test binary', () => {
    const [build] = planBuilds(new Set(['e2e.test'] as const))
    if (build?.steps[0] === undefined) throw new Error('no plan')
    const args = buildArguments(build.component, build.steps[0], '/out/e2e.test')
    expect(args.slice(0, 3)).toEqual(['test', '-c', '-trimpath'])
    expect(args.slice(-3)).toEqual(['-o', '/out/e2e.test', 'k8s.io/kubernetes/test/e2e'])
  })

  it('builds our own main from its folder, and passes tags', () => {
    const [containerd, coredns] = planBuilds(new Set(['ctr', 'coredns'] as const))
    if (!containerd?.steps[0] || !coredns?.steps[0]) throw new Error('no plan')
    expect(buildArguments(coredns.component, coredns.steps[0], '/out/coredns').at(-1)).toBe('.')
    expect(buildArguments(containerd.component, containerd.steps[0], '/out/')).toContain(
      'no_btrfs,no_zfs,no_devmapper,osusergo,netgo,static_build',
    )
  })
})
