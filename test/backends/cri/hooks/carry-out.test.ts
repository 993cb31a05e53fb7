import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { carryOutHooks } from '../../../../src/backends/cri/hooks/carry-out.ts'
import { PodSupport } from '../../../../src/backends/cri/pod/pod-support.ts'
import type { Container } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { startHttpServer } from '../../../support/http-server.ts'
import { FakeSources } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const never = new AbortController().signal
let pod: OnePod
let support: PodSupport

beforeEach(async () => {
  pod = await OnePod.open()
  const spec = {
    initContainers: [hooked('proxy', { restartPolicy: 'Always' })],
    containers: [hooked('app'), hooked('cache')],
  }
  support = new PodSupport({
    ...pod.handle,
    pod: aPod({ spec }),
    sources: new FakeSources(),
    adopting: false,
    isStopping: () => false,
    onChange: () => undefined,
    onSourceChange: () => undefined,
  })
  pod.runtime.exec = async () => ({ exitCode: 0, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) })
  const network = { ip: '127.0.0.1', additionalIps: [] }
  await pod.put(
    sandbox(0, { network }),
    containerNamed('cache'),
    containerNamed('proxy'),
    containerNamed('app', 1),
  )
})

afterEach(async () => {
  support.close()
  await pod.close()
})

function hooked(name: string, more: Partial<Container> = {}): Container {
  const lifecycle = { postStart: { exec: { command: ['register', name] } } }
  return aContainer({ name, lifecycle, ...more })
}

function carryOut(hooks: readonly string[], signal = never): Promise<void> {
  return carryOutHooks({ ...pod.handle, support, hooks }, signal)
}

describe('the postStart hooks of a Pod', () => {
  it('are carried out in the order of the spec, whoever asks, and only those that are asked for', async () => {
    await carryOut(['app', 'proxy'])
    expect(pod.runtime.calls).toEqual(['exec proxy: register proxy', 'exec app: register app'])
    expect(pod.handle.notes.of('app', 1)).toEqual({ postStart: 'done' })
    expect(pod.handle.notes.of('cache', 0)).toEqual({})
  })

  it('wait for one another', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    const over = carryOut(['app', 'cache'])
    await settled()
    expect(pod.runtime.calls).toEqual(['exec app: register app'])
    resolve()
    await over
    expect(pod.runtime.calls).toHaveLength(2)
  })

  it('are owed by no container that has ended meanwhile', async () => {
    pod.runtime.end('app-1')
    await pod.look()
    await carryOut(['app', 'cache'])
    expect(pod.runtime.calls).toEqual(['exec cache: register cache'])
    expect(pod.handle.notes.of('app', 1)).toEqual({})
  })

  it('go on after one that failed', async () => {
    pod.runtime.before = (call) => {
      if (call.includes('proxy')) throw new Error('no such file')
    }
    await carryOut(['proxy', 'app'])
    expect(pod.handle.notes.of('proxy', 0)).toMatchObject({
      postStart: { failure: expect.any(String) as string },
    })
    expect(pod.handle.notes.of('app', 1)).toEqual({ postStart: 'done' })
  })

  it('end with the signal: those that come after are not begun', async () => {
    const stop = new AbortController()
    const stopping = new Error('the Pod is being stopped')
    pod.runtime.before = () => stop.abort(stopping)
    pod.runtime.exec = () => Promise.reject(new Error('cancelled'))
    await expect(carryOut(['proxy', 'app', 'cache'], stop.signal)).rejects.toBe(stopping)
    expect(pod.runtime.calls).toHaveLength(1)
  })

  it('ask the Pod at its address', async () => {
    await using server = await startHttpServer((_request, response) => void response.end())
    const request = { httpGet: { port: server.port, path: '/ready' } }
    const app = aContainer({ name: 'app', lifecycle: { postStart: request } })
    support.update(aPod({ spec: { containers: [app] } }))
    await carryOut(['app'])
    expect(server.seen).toMatchObject([{ url: '/ready' }])
  })
})
