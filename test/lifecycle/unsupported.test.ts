import { describe, expect, it } from 'vitest'
import { refusalSentence, unsupportedUses } from '../../src/lifecycle/unsupported.ts'
import { aContainer, aPod, capabilities } from '../support/builders.ts'

describe('what a backend does not offer', () => {
  const add = ['NET_ADMIN', 'SYS_TIME']
  const pod = aPod({ spec: { containers: [aContainer({ securityContext: { capabilities: { add } } })] } })

  it('is each capability that is neither listed nor allowed with all', () => {
    const none = capabilities({ features: new Set(), linuxCapabilities: ['NET_ADMIN'] })
    expect(unsupportedUses(pod, none).map(({ value }) => value)).toEqual(['SYS_TIME'])
    expect(unsupportedUses(pod, capabilities())).toEqual([])
  })

  it('is told with the field, and with what would bring it', () => {
    const lacks = new Map([['linuxCapability', 'options.capabilities lacks it'] as const])
    const none = capabilities({ features: new Set(), lacks })
    expect(unsupportedUses(pod, none).map((use) => refusalSentence(use, none))).toEqual([
      'spec.containers[0].securityContext.capabilities.add[0]: NET_ADMIN is not offered here (options.capabilities lacks it)',
      'spec.containers[0].securityContext.capabilities.add[1]: SYS_TIME is not offered here (options.capabilities lacks it)',
    ])
  })
})
