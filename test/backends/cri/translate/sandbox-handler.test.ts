import { describe, expect, it } from 'vitest'
import { sandboxHandler } from '../../../../src/backends/cri/translate/sandbox-handler.ts'
import type { SandboxChoice } from '../../../../src/model/sandbox-choice.ts'
import { aPod } from '../../../support/builders.ts'
import { FakePodSources } from '../../../support/pod-sources.ts'

const signal = new AbortController().signal
const features = { recursiveReadOnlyMounts: false, userNamespaces: false }
const handlers = ['', 'runc', 'runsc'].map((name) => ({ name, ...features }))

function handlerFor(className: string | undefined, options: object = {}, sandbox?: SandboxChoice) {
  const sources = new FakePodSources(sandbox && { sandbox })
  sources.setRuntimeClass('gvisor', 'runsc')
  sources.setRuntimeClass('vm', 'kata')
  const tools = {
    settings: { name: 'local', options },
    runtime: { facts: { handlers, supplementalGroupsPolicy: true, version: '' } },
  } as unknown as Parameters<typeof sandboxHandler>[0]['tools']
  const pod = aPod({ spec: className === undefined ? {} : { runtimeClassName: className } })
  return sandboxHandler({ tools, pod, sources }, signal)
}

describe('the handler of a sandbox', () => {
  it('is the default without a RuntimeClass', async () => {
    expect(await handlerFor(undefined)).toBe('')
    expect(await handlerFor(undefined, { runtimeHandler: 'runc' })).toBe('runc')
  })

  it('is that of the RuntimeClass, when it is offered', async () => {
    expect(await handlerFor('gvisor', { runtimeHandlers: ['runsc'] })).toBe('runsc')
    expect(await handlerFor('gvisor', { runtimeHandler: 'runsc' })).toBe('runsc')
  })

  it('is the one that the pool says, for a class or without one', async () => {
    const offered = { runtimeHandler: 'runc', runtimeHandlers: ['runsc'] }
    expect(await handlerFor(undefined, offered, { byDefault: 'runsc', byClass: {} })).toBe('runsc')
    expect(await handlerFor('vm', offered, { byDefault: undefined, byClass: { vm: 'runsc' } })).toBe('runsc')
    expect(await handlerFor('gvisor', offered, { byDefault: 'runc', byClass: {} })).toBe('runsc')
    expect(await handlerFor(undefined, offered, { byDefault: undefined, byClass: { vm: 'runsc' } })).toBe(
      'runc',
    )
  })

  it('is never another than the pool says', async () => {
    await expect(handlerFor(undefined, {}, { byDefault: 'kata', byClass: {} })).rejects.toThrow(
      'no runtime for "kata" is offered here, which the pool wants; offered are: none',
    )
    await expect(
      handlerFor('gvisor', {}, { byDefault: undefined, byClass: { gvisor: 'kata' } }),
    ).rejects.toThrow('no runtime for "kata" is offered here, which the pool wants for RuntimeClass "gvisor"')
  })

  it('has to be there and to be offered, with a sentence that says what is', async () => {
    await expect(handlerFor('none')).rejects.toThrow('runtimeclass.node.k8s.io "none" not found')
    await expect(handlerFor('gvisor')).rejects.toThrow(
      'no runtime for "runsc" is offered here, which RuntimeClass "gvisor" names; offered are: none ' +
        '(options.runtimeHandlers of backend "local")',
    )
    await expect(handlerFor('vm', { runtimeHandlers: ['kata', 'runsc'] })).rejects.toThrow(
      'offered are: runsc',
    )
  })
})
