import { describe, expect, it } from 'vitest'
import { nodeFeatures } from '../../src/node/node-features.ts'
import { capabilities } from '../support/builders.ts'

describe('what a node says that it can do', () => {
  it('is what its backend can do, in Kubernetes’ words', () => {
    expect(nodeFeatures(capabilities(), { minor: 37 })).toEqual({
      features: { supplementalGroupsPolicy: true },
      runtimeHandlers: [{ name: '', features: { recursiveReadOnlyMounts: true, userNamespaces: true } }],
      declaredFeatures: [
        'InPlacePodLevelResourcesVerticalScaling',
        'InPlacePodVerticalScalingInitContainers',
        'RestartAllContainersOnContainerExits',
      ],
    })
    expect(nodeFeatures(capabilities({ features: new Set(), sandboxHandlers: [] }), { minor: 37 })).toEqual({
      features: { supplementalGroupsPolicy: false },
      runtimeHandlers: [],
      declaredFeatures: [],
    })
  })

  it('is left out where the server would drop it', () => {
    expect(Object.keys(nodeFeatures(capabilities(), { minor: 30 }))).toEqual(['runtimeHandlers'])
    expect(Object.keys(nodeFeatures(capabilities(), { minor: 34 }))).not.toContain('declaredFeatures')
  })
})
