import { describe, expect, it } from 'vitest'
import { componentOf } from '../../src/dev-cluster/components.ts'
import { corednsMain } from '../../src/dev-cluster/go-mains.ts'
import { kubernetesGoMod, plainGoMod } from '../../src/dev-cluster/go-module.ts'

const upstream = `// A comment.

module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require (
	github.com/blang/semver/v4 v4.0.0
	go.etcd.io/etcd/api/v3 v3.7.0 // with a remark
	k8s.io/api v0.0.0
	k8s.io/klog/v2 v2.140.0
	k8s.io/sample-apiserver v0.0.0
)

require golang.org/x/net v0.57.0

require (
	k8s.io/apimachinery v0.0.0
	sigs.k8s.io/yaml v1.6.0 // indirect
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/apimachinery => ./staging/src/k8s.io/apimachinery
	k8s.io/sample-apiserver => ./staging/src/k8s.io/sample-apiserver
)
`

describe('go.mod for Kubernetes', () => {
  it('requires what upstream does and replaces staging modules by their releases', async () => {
    await expect(kubernetesGoMod(upstream, 'v1.37.2')).toMatchFileSnapshot('golden/kubernetes.go.mod')
  })

  it('names the releases of older versions, and has no setting of the run time where upstream has none', () => {
    const older = kubernetesGoMod(upstream.replace('godebug default=go1.26\n', ''), 'v1.30.14')
    expect(older).toContain('\tk8s.io/kubernetes v1.30.14\n\tk8s.io/api v0.30.14\n')
    expect(older).not.toContain('godebug')
  })

  it('requires no sample, which a proxy may not have', () => {
    const [requirements = '', replacements = ''] = kubernetesGoMod(upstream, 'v1.37.2').split('replace (')
    expect(requirements).not.toContain('sample')
    expect(replacements).toContain('k8s.io/sample-apiserver => k8s.io/sample-apiserver v0.37.2')
  })

  it('refuses a go.mod without staging modules instead of building something else', () => {
    expect(() => kubernetesGoMod('module k8s.io/kubernetes\n\ngo 1.26.0\n', 'v1.37.2')).toThrow(
      'go.mod of k8s.io/kubernetes v1.37.2 has 0 requirements and 0 staging modules',
    )
  })
})

describe('go.mod for the others', () => {
  it('requires the component at its pinned version', () => {
    expect(plainGoMod(componentOf('etcd'))).toBe(
      'module spillway-build\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 v3.7.3\n',
    )
  })

  it('requires nothing for a program of our own', () => {
    expect(plainGoMod(componentOf('pause'))).toBe('module spillway-build\n\ngo 1.26.0\n')
  })
})

describe('the CoreDNS of ours', () => {
  it('imports exactly the plugins asked for', async () => {
    await expect(corednsMain(['forward', 'cache'])).toMatchFileSnapshot('golden/coredns-main.go')
  })
})
