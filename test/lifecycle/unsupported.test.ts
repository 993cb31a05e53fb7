import { describe, expect, it } from 'vitest'
import { handlerRefusal, refusalSentence, unsupportedUses } from '../../src/lifecycle/unsupported.ts'
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

  it('is the handler of a RuntimeClass that it does not have', () => {
    const handler = { name: 'runsc', recursiveReadOnlyMounts: false, userNamespaces: false }
    const classOf = (name: string) => ({ metadata: { name: 'own' }, handler: name })
    const backend = capabilities({ sandboxHandlers: [handler] })
    expect(handlerRefusal(classOf('runsc'), undefined, backend)).toBeUndefined()
    expect(handlerRefusal(classOf('kata'), undefined, backend)).toBe(
      'spec.runtimeClassName: handler "kata" for RuntimeClass "own" is not offered here',
    )
  })

  it('is the handler that the pool has for it', () => {
    const handler = { name: 'runsc', recursiveReadOnlyMounts: false, userNamespaces: false }
    const backend = capabilities({ sandboxHandlers: [handler] })
    const own = { metadata: { name: 'own' }, handler: 'kata' }
    const choice = (byDefault: string | undefined, byClass: Record<string, string> = {}) => ({
      byDefault,
      byClass,
    })
    expect(handlerRefusal(own, choice(undefined, { own: 'runsc' }), backend)).toBeUndefined()
    expect(handlerRefusal(own, choice('runsc'), backend)).toContain('handler "kata"')
    expect(handlerRefusal(undefined, choice('runsc'), backend)).toBeUndefined()
    expect(handlerRefusal(undefined, choice(undefined), backend)).toBeUndefined()
    expect(handlerRefusal(undefined, choice('kata'), backend)).toBe(
      `the pool's sandboxHandler "kata" is not offered here`,
    )
  })
})
