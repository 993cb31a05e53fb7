import { describe, expect, it } from 'vitest'
import { nodeFeatures } from '../../src/node/node-features.ts'
import { aHandler, capabilities } from '../support/builders.ts'

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

  it('is, of Pods without a class, what its pool’s sandboxes can do', () => {
    const runc = aHandler({ name: 'runc', kind: 'runc', forRuntimeClasses: false })
    const lacks = new Map([['userNamespace', 'it has none'] as const])
    const runsc = aHandler({ name: 'runsc', kind: 'gvisor', recursiveReadOnlyMounts: false, lacks })
    const backend = capabilities({ sandboxHandlers: [runc, runsc], defaultHandler: { name: 'runsc' } })
    const mapped = (byDefault?: string) => {
      const { runtimeHandlers } = nodeFeatures(backend, {
        minor: 37,
        choice: { byDefault, byClass: {} },
      }) as {
        runtimeHandlers: { name: string; features: { userNamespaces: boolean } }[]
      }
      return runtimeHandlers.map(({ name, features }) => [name, features.userNamespaces])
    }
    expect(mapped()).toEqual([
      ['', false],
      ['runsc', false],
    ])
    expect(mapped('runc')).toEqual([
      ['', true],
      ['runsc', false],
    ])
    // Nobody gets one without a class.
    expect(mapped('kata')).toEqual([['runsc', false]])
  })

  it('is left out where the server would drop it', () => {
    expect(Object.keys(nodeFeatures(capabilities(), { minor: 30 }))).toEqual(['runtimeHandlers'])
    expect(Object.keys(nodeFeatures(capabilities(), { minor: 34 }))).not.toContain('declaredFeatures')
  })
})
