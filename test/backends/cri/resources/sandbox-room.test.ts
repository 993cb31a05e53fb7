import { expect, it } from 'vitest'
import { podCgroupLimits } from '../../../../src/backends/cri/resources/linux-resources.ts'
import { withSandboxRoom } from '../../../../src/backends/cri/resources/sandbox-room.ts'
import { aContainer, aPod } from '../../../support/builders.ts'

const limits = { cpu: '100m', memory: '16Mi' }
const small = aPod({ spec: { containers: [aContainer({ resources: { limits } })] } })

it('leaves a Pod in a gVisor sandbox of its pool’s choice all that its limits say', () => {
  const room = withSandboxRoom(small, 'gvisor')
  expect(podCgroupLimits(room)).toMatchObject({ memoryBytes: (16n + 48n) << 20n, cpuQuotaUs: 11_000 })
  expect(podCgroupLimits(small)).toMatchObject({ memoryBytes: 16n << 20n, cpuQuotaUs: 10_000 })
})

it('adds nothing to what a RuntimeClass has said, and nothing where the sandbox takes nothing', () => {
  const said = aPod({ spec: { ...small.spec, overhead: { memory: '1Gi' } } })
  expect(withSandboxRoom(said, 'gvisor')).toBe(said)
  for (const kind of ['runc', 'unknown', undefined] as const) expect(withSandboxRoom(small, kind)).toBe(small)
})
