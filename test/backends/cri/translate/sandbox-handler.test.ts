import { describe, expect, it } from 'vitest'
import { sandboxHandler } from '../../../../src/backends/cri/translate/sandbox-handler.ts'
import { aPod } from '../../../support/builders.ts'
import { FakePodSources } from '../../../support/pod-sources.ts'

const signal = new AbortController().signal
const features = { recursiveReadOnlyMounts: false, userNamespaces: false }
const handlers = ['', 'runc', 'runsc'].map((name) => ({ name, ...features }))

function handlerFor(className: string | undefined, options: object = {}) {
  const sources = new FakePodSources()
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
