import { describe, expect, it } from 'vitest'
import type { RuntimeHandlerFacts } from '../../../../src/backends/cri/runtime/runtime-handlers.ts'
import { sandboxHandler } from '../../../../src/backends/cri/translate/sandbox-handler.ts'
import type { SandboxChoice } from '../../../../src/model/sandbox-choice.ts'
import { aPod } from '../../../support/builders.ts'
import { FakePodSources } from '../../../support/pod-sources.ts'

const signal = new AbortController().signal
const runc = { kind: 'runc', recursiveReadOnlyMounts: true, userNamespaces: true } as const
const gvisor = { kind: 'gvisor', recursiveReadOnlyMounts: false, userNamespaces: false } as const
const onlyRunc: readonly RuntimeHandlerFacts[] = [
  { name: '', ...runc },
  { name: 'runc', ...runc },
]
const both = [...onlyRunc, { name: 'runsc', ...gvisor }]

interface Asked {
  readonly options?: object
  readonly sandbox?: SandboxChoice
  readonly handlers?: readonly RuntimeHandlerFacts[]
}

async function handlerFor(className: string | undefined, asked: Asked = {}): Promise<string> {
  const { options = {}, sandbox, handlers = both } = asked
  const sources = new FakePodSources(sandbox && { sandbox })
  sources.setRuntimeClass('gvisor', 'runsc')
  sources.setRuntimeClass('plain', 'runc')
  const tools = {
    settings: { name: 'local', options },
    runtime: { facts: { handlers, supplementalGroupsPolicy: true, version: 'containerd://2.4.2' } },
  } as unknown as Parameters<typeof sandboxHandler>[0]['tools']
  const pod = aPod({ spec: className === undefined ? {} : { runtimeClassName: className } })
  return (await sandboxHandler({ tools, pod, sources }, signal)).name
}

describe('the handler of a sandbox', () => {
  it('is gVisor’s without a RuntimeClass, unless the backend or the pool says another', async () => {
    expect(await handlerFor(undefined)).toBe('runsc')
    expect(await handlerFor(undefined, { options: { runtimeHandler: 'runc' } })).toBe('runc')
    expect(await handlerFor(undefined, { sandbox: { byDefault: 'runc', byClass: {} } })).toBe('runc')
  })

  it('is that of the RuntimeClass, when it is open to classes, or when the pool has it for the class', async () => {
    expect(await handlerFor('gvisor')).toBe('runsc')
    expect(await handlerFor('plain', { options: { runtimeHandlers: ['runc'] } })).toBe('runc')
    expect(
      await handlerFor('plain', { sandbox: { byDefault: undefined, byClass: { plain: 'runsc' } } }),
    ).toBe('runsc')
    await expect(handlerFor('plain')).rejects.toThrow(
      'spec.runtimeClassName: handler "runc" for RuntimeClass "plain" is not offered here; offered are: runsc ' +
        '(options.runtimeHandlers of backend "local")',
    )
    await expect(handlerFor('none')).rejects.toThrow('runtimeclass.node.k8s.io "none" not found')
  })

  it('is never runc because there is nothing else', async () => {
    await expect(handlerFor(undefined, { handlers: onlyRunc })).rejects.toMatchObject({
      code: 'Rejected',
      message: expect.stringContaining('containerd://2.4.2 of backend "local" has no gVisor'),
    })
    await expect(handlerFor('gvisor', { handlers: onlyRunc })).rejects.toThrow('handler "runsc"')
    const sandbox = { byDefault: 'kata', byClass: {} }
    await expect(handlerFor(undefined, { sandbox })).rejects.toThrow(`the pool's sandboxHandler "kata"`)
  })
})
