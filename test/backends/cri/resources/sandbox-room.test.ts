import { expect, it } from 'vitest'
import { podCgroupLimits } from '../../../../src/backends/cri/resources/linux-resources.ts'
import { podInEffect } from '../../../../src/backends/cri/resources/resources-in-effect.ts'
import { withSandboxRoom } from '../../../../src/backends/cri/resources/sandbox-room.ts'
import { aContainer, aPod } from '../../../support/builders.ts'

const limits = { cpu: '100m', memory: '16Mi' }
const small = aPod({ spec: { containers: [aContainer({ resources: { limits } })] } })

it('leaves a Pod in a gVisor sandbox of its pool’s choice all that its limits say', () => {
  expect(podCgroupLimits(withSandboxRoom(small, 'gvisor').pod)).toMatchObject({
    memoryBytes: (16n + 48n) << 20n,
    cpuQuotaUs: 11_000,
  })
  expect(podCgroupLimits(small)).toMatchObject({ memoryBytes: 16n << 20n, cpuQuotaUs: 10_000 })
})

it('adds nothing to what a RuntimeClass has said, and nothing where the sandbox takes nothing', () => {
  const said = aPod({ spec: { ...small.spec, overhead: { memory: '1Gi' } } })
  expect(withSandboxRoom(said, 'gvisor')).toEqual({ pod: said })
  for (const kind of ['runc', 'unknown', undefined] as const)
    expect(withSandboxRoom(small, kind)).toEqual({ pod: small })
})

it.each([
  ['limits', { limits }, { requests: { cpu: '100m' }, limits }],
  ['requests', { requests: { cpu: '10m', memory: '16Mi' } }, { requests: { cpu: '10m' }, limits: {} }],
  // Kubelet’s word for the least shares that there are.
  ['nothing', {}, { requests: { cpu: '2m' }, limits: {} }],
])('is not told of as if the Pod had asked for it: one that states %s', (_what, resources, told) => {
  const stated = aPod({ spec: { containers: [aContainer({ resources })] } })
  const { pod, room } = withSandboxRoom(stated, 'gvisor')
  expect(podInEffect(podCgroupLimits(pod), room)).toEqual(told)
  expect(podInEffect(podCgroupLimits(stated))).toEqual(told)
})
