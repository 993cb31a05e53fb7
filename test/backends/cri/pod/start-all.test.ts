import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openNetwork, type NetworkGuard } from '../../../../src/backends/cri/network/network-guard.ts'
import { PodSupport } from '../../../../src/backends/cri/pod/pod-support.ts'
import { startAll, type StartAllInput } from '../../../../src/backends/cri/pod/start-all.ts'
import { errorMessage, SpillwayError } from '../../../../src/model/errors.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { FakeSources } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { ended, sandbox } from '../seen.ts'

const { signal } = new AbortController()
const names = ['one', 'two', 'three']
const ofThree = aPod({ spec: { containers: names.map((name) => aContainer({ name })) } })
let pod: OnePod
let sources: FakeSources
let support: PodSupport
let waits: AbortController
/** What was said of each, in order. */
let said: string[]

beforeEach(async () => {
  pod = await OnePod.open()
  sources = new FakeSources()
  waits = new AbortController()
  said = []
  await pod.put(sandbox())
})

afterEach(async () => {
  support.close()
  await pod.close()
})

async function start(
  of: Pod = ofThree,
  wanted: readonly string[] = names,
  attempt = 0,
  network: NetworkGuard = openNetwork,
): Promise<void> {
  const handle = { ...pod.handle, tools: { ...pod.handle.tools, network } }
  const input = { ...handle, pod: of, sources, adopting: false, isStopping: () => false }
  support = new PodSupport({ ...input, onChange: () => {}, onSourceChange: () => {} })
  const starts: StartAllInput['starts'] = wanted.map((name) => ({
    name,
    kind: 'main',
    attempt,
    backoffMs: 0,
  }))
  const steps = {
    onStarted: (name: string) => void said.push(`${name} started`),
    onFailed: (name: string, error: unknown) => void said.push(`${name}: ${errorMessage(error)}`),
  }
  await startAll({ ...handle, support, starts, waits: waits.signal, ...steps }, signal)
}

function started(): string[] {
  return pod.runtime.calls.filter((call) => call.startsWith('start'))
}

describe('the containers of a Pod', () => {
  it('are not started before what their sandbox sends is held to our rules, and none where it cannot be', async () => {
    const admitted: string[] = []
    const network: NetworkGuard = { ...openNetwork, admit: async ({ id }) => void admitted.push(id) }
    pod.runtime.before = (call) => void (call.startsWith('start') && expect(admitted).toEqual(['sandbox-0']))
    await start(ofThree, names, 0, network)
    expect(started()).toHaveLength(3)
    support.close()
    const refusing = {
      ...openNetwork,
      admit: () => Promise.reject(new SpillwayError('Unavailable', 'no nft')),
    }
    await expect(start(ofThree, names, 1, refusing)).rejects.toMatchObject({
      message: 'Failed to isolate pod sandbox: no nft',
      reason: 'FailedCreatePodSandBox',
    })
    expect(started()).toHaveLength(3)
  })

  it('are started in their order, one after the other, and each is told of when it runs', async () => {
    pod.runtime.before = (call) => void (call.startsWith('create') && said.push(call))
    await start()
    expect(said).toEqual([
      'create one-0',
      'one started',
      'create two-0',
      'two started',
      'create three-0',
      'three started',
    ])
  })

  it('are started past one that cannot be', async () => {
    pod.runtime.before = (call) => {
      if (call === 'start one-0') throw new Error('no such file')
    }
    await start()
    expect(said).toEqual(['one: no such file', 'two started', 'three started'])
  })

  it('are none of them started without their volumes, which is told of the Pod as a whole', async () => {
    const volumes = [{ name: 'v', configMap: { name: 'settings' } }]
    const lacking = {
      ...ofThree,
      spec: { ...ofThree.spec, containers: ofThree.spec?.containers ?? [], volumes },
    }
    await expect(start(lacking)).rejects.toMatchObject({ reason: 'FailedMount' })
    expect(said).toEqual([])
    expect(started()).toEqual([])
  })

  it('are only those that the Pod has, whatever is wanted', async () => {
    await start(ofThree, ['nobody', 'two'])
    expect(said).toEqual(['two started'])
  })
})

describe('a Pod that is to end while its containers are started', () => {
  it('has no further one started, and nothing said of one that failed over that', async () => {
    pod.runtime.after = (call) => {
      if (call === 'start one-0') waits.abort(new Error('the Pod is being stopped'))
    }
    await start()
    expect(said).toEqual(['one started'])
    expect(started()).toEqual(['start one-0'])
  })

  it('says nothing of an image that it let go', async () => {
    pod.runtime.before = (call) => {
      if (call.startsWith('pull')) waits.abort(new Error('the Pod is being stopped'))
    }
    await start()
    expect(said).toEqual([])
    expect(started()).toEqual([])
  })
})

describe('the attempts before', () => {
  it('go when the next has been started, but for the last, and not before', async () => {
    for (const number of [0, 1, 2]) await pod.put(containerNamed('one', number, ended))
    await start(ofThree, ['one', 'two'], 3)
    const calls = pod.runtime.calls.filter((call) => !call.startsWith('pull'))
    expect(calls).toEqual([
      'create one-3',
      'start one-3',
      'create two-3',
      'start two-3',
      'remove one',
      'remove one',
    ])
    expect([...pod.runtime.containers.keys()]).toEqual(['one-2', 'one-3', 'two-3'])
  })
})
