import { describe, expect, it } from 'vitest'
import { admitResize } from '../../src/lifecycle/resize-admission.ts'
import type { PodFeature } from '../../src/model/capability.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { aContainer, aNode, aPod, capabilities } from '../support/builders.ts'

const asks = (cpu: string, over: Partial<Pod> = {}): Pod => ({
  ...aPod({ spec: { containers: [aContainer({ resources: { requests: { cpu } } })] } }),
  ...over,
})

function verdictOn(pod: Pod, others: readonly Pod[] = [], features: PodFeature[] = ['inPlaceResize']) {
  return admitResize({
    pod,
    node: aNode(),
    others,
    capabilities: capabilities({ features: new Set(features) }),
  })
}

describe('a resize', () => {
  it('fits while the node has room beside the other Pods', () => {
    expect(verdictOn(asks('6'), [asks('2')])).toEqual({ kind: 'fits' })
  })

  it('is deferred with the door’s own reason when there is none', () => {
    expect(verdictOn(asks('7'), [asks('2')])).toEqual({
      kind: 'pending',
      reason: 'Deferred',
      cause: 'OutOfcpu',
      message: "Node didn't have enough resource: cpu, requested: 7000, used: 2000, capacity: 8000",
    })
  })

  it('waits for what another Pod still has in effect, though less is set aside for it', () => {
    const status = {
      containerStatuses: [
        {
          name: 'main',
          image: '',
          imageID: '',
          ready: true,
          restartCount: 0,
          resources: { requests: { cpu: '4' } },
          allocatedResources: { cpu: '1' },
        },
      ],
    }
    expect(verdictOn(asks('5'), [asks('1', { status })])).toMatchObject({
      reason: 'Deferred',
      message: expect.stringContaining('used: 4000'),
    })
  })

  it('is infeasible where Pods keep the size that they came with', () => {
    expect(verdictOn(asks('1'), [], [])).toMatchObject({
      reason: 'Infeasible',
      message: 'InPlacePodVerticalScaling is disabled',
    })
  })

  it('is infeasible when it asks for what the backend does not do', () => {
    const whole = aPod({ spec: { resources: { requests: { cpu: '1' } } } })
    expect(verdictOn(whole)).toMatchObject({
      reason: 'Infeasible',
      message: expect.stringContaining('spec.resources'),
    })
  })
})
