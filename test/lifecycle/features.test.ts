import { describe, expect, it } from 'vitest'
import { featuresOf } from '../../src/lifecycle/features.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../support/builders.ts'

function usesOf(spec: Partial<PodSpec>): string[] {
  return featuresOf(aPod({ spec })).map(({ feature, field }) => `${feature} ${field}`)
}

describe('the features that a Pod uses', () => {
  it('are none for a plain one', () => {
    expect(usesOf({})).toEqual([])
  })

  it('are named with the field for each volume source and each projection', () => {
    const token = { serviceAccountToken: { path: 'token' } }
    const bundle = { clusterTrustBundle: { path: 'ca.crt' } }
    const later = { somethingNew: { path: 'x' } } as object
    const volumes = [
      { name: 'a', emptyDir: { medium: 'Memory' } },
      { name: 'b', nfs: { server: 'nfs', path: '/' } },
      { name: 'c', projected: { sources: [token, bundle, later] } },
      { name: 'd', emptyDir: { medium: 'HugePages-2Mi' } },
    ]
    expect(usesOf({ volumes })).toEqual([
      'emptyDirVolume spec.volumes[0].emptyDir',
      'emptyDirMemory spec.volumes[0].emptyDir.medium',
      'legacyNetworkVolume spec.volumes[1].nfs',
      'serviceAccountToken spec.volumes[2].projected.sources[0].serviceAccountToken',
      'clusterTrustBundle spec.volumes[2].projected.sources[1].clusterTrustBundle',
      'unknownProjection spec.volumes[2].projected.sources[2].somethingNew',
      'emptyDirVolume spec.volumes[3].emptyDir',
      'emptyDirHugePages spec.volumes[3].emptyDir.medium',
    ])
  })

  it('tell the two directions of mount propagation apart', () => {
    const mount = { name: 'v', mountPath: '/v' }
    const volumeMounts = ['None', 'HostToContainer', 'Bidirectional'].map((mountPropagation) => ({
      ...mount,
      mountPropagation,
    }))
    expect(usesOf({ containers: [aContainer({ volumeMounts })] })).toEqual([
      'mountPropagation spec.containers[0].volumeMounts[1].mountPropagation',
      'bidirectionalMountPropagation spec.containers[0].volumeMounts[2].mountPropagation',
    ])
  })

  it('tell sidecars from init containers, and look into both', () => {
    const exec = { command: ['true'] }
    const initContainers = [
      aContainer({ name: 'setup', securityContext: { privileged: true } }),
      aContainer({ name: 'proxy', restartPolicy: 'Always', startupProbe: { exec } }),
    ]
    expect(usesOf({ initContainers })).toEqual([
      'initContainers spec.initContainers[0]',
      'privileged spec.initContainers[0].securityContext.privileged',
      'sidecarContainers spec.initContainers[1]',
      'startupProbe spec.initContainers[1].startupProbe',
      'execProbe spec.initContainers[1].startupProbe.exec',
    ])
  })

  it('name each Linux capability beyond the usual ones', () => {
    const securityContext = {
      capabilities: { add: ['CHOWN', 'CAP_NET_RAW', 'net_admin', 'ALL'], drop: ['KILL'] },
    }
    expect(featuresOf(aPod({ spec: { containers: [aContainer({ securityContext })] } }))).toEqual([
      {
        feature: 'linuxCapability',
        field: 'spec.containers[0].securityContext.capabilities.add[2]',
        value: 'NET_ADMIN',
      },
      {
        feature: 'linuxCapability',
        field: 'spec.containers[0].securityContext.capabilities.add[3]',
        value: 'ALL',
      },
    ])
  })

  it('tell a seccomp profile of the node’s from those of the runtime', () => {
    const localhost = { seccompProfile: { type: 'Localhost', localhostProfile: 'own.json' } }
    expect(usesOf({ securityContext: localhost })).toEqual([
      'seccomp spec.securityContext.seccompProfile',
      'localSeccompProfile spec.securityContext.seccompProfile.localhostProfile',
    ])
    expect(usesOf({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } })).toHaveLength(1)
  })

  it('know the annotations by which older clusters ask for AppArmor', () => {
    const prefix = 'container.apparmor.security.beta.kubernetes.io'
    const annotations = { [`${prefix}/main`]: 'runtime/default', [`${prefix}/free`]: 'unconfined' }
    const pod = aPod()
    expect(featuresOf({ ...pod, metadata: { ...pod.metadata, annotations } })).toEqual([
      { feature: 'appArmor', field: `metadata.annotations["${prefix}/main"]` },
    ])
  })
})
