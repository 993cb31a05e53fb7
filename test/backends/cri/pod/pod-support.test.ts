import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerMarks } from '../../../../src/backends/cri/marks.ts'
import { terminationFile } from '../../../../src/backends/cri/paths.ts'
import { PodSupport } from '../../../../src/backends/cri/pod/pod-support.ts'
import { plannedContainers, type PlannedContainer } from '../../../../src/backends/cri/translate/translate.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { settled } from '../../../support/fake-clock.ts'
import { anImage } from '../fake-runtime.ts'
import { FakeSources } from '../fake-sources.ts'
import { containerNamed, OnePod } from '../one-pod.ts'
import { sandbox } from '../seen.ts'

const { signal } = new AbortController()
const [old, young] = ['registry.example/app:1', 'registry.example/app:2']
let pod: OnePod
let sources: FakeSources
let support: PodSupport
let woken: string[]

beforeEach(async () => {
  pod = await OnePod.open()
  sources = new FakeSources()
  woken = []
})

afterEach(async () => {
  support.close()
  await pod.close()
})

function supportOf(of: Pod, { adopting = false } = {}): PodSupport {
  support = new PodSupport({
    ...pod.handle,
    pod: of,
    sources,
    adopting,
    isStopping: () => false,
    onChange: () => void woken.push('change'),
    onSourceChange: () => void woken.push('source change'),
  })
  return support
}

function withImage(image: string): Pod {
  return aPod({ spec: { containers: [aContainer({ image, imagePullPolicy: 'Always' })] } })
}

function first(of: Pod): PlannedContainer {
  const [planned] = plannedContainers(of)
  if (!planned) throw new Error('a Pod has a container')
  return planned
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await settled()
}

describe('the image of the first container', () => {
  it('is on its way while the sandbox is being made, and not asked for again', async () => {
    supportOf(withImage(old)).prepare(signal)
    await until(() => pod.runtime.calls.length > 0)
    const image = await support.image(first(withImage(old)), signal)
    expect(image.repoTags).toEqual([old])
    expect(pod.runtime.calls).toEqual([`pull ${old}`])
    // Each attempt asks for itself.
    await support.image(first(withImage(old)), signal)
    expect(pod.runtime.calls).toEqual([`pull ${old}`, `pull ${old}`])
  })

  it('is that of the Pod as it is when the container is made, whatever was on its way', async () => {
    supportOf(withImage(old)).prepare(signal)
    await until(() => pod.runtime.calls.length > 0)
    support.update(withImage(young))
    expect((await support.image(first(withImage(young)), signal)).repoTags).toEqual([young])
  })

  it('says that it cannot be had when it is asked for, and not before', async () => {
    const planned = first(withImage(old))
    pod.runtime.before = () => Promise.reject(new Error('no such image'))
    supportOf(withImage(old)).prepare(signal)
    await until(() => pod.told.some(({ reason }) => reason === 'Failed'))
    support.prepare(signal)
    await expect(support.image(planned, signal)).rejects.toMatchObject({ reason: 'ErrImagePull' })
    await expect(support.image(planned, signal)).rejects.toMatchObject({ reason: 'ImagePullBackOff' })
    expect(pod.runtime.calls).toHaveLength(1)
  })

  it('is not waited for by a Pod that is to end', async () => {
    const waits = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    pod.runtime.before = () => promise
    supportOf(withImage(old)).prepare(waits.signal)
    const image = support.image(first(withImage(old)), waits.signal)
    await until(() => pod.runtime.calls.length > 0)
    waits.abort(new Error('the Pod is being stopped'))
    await expect(image).rejects.toThrow('the Pod is being stopped')
    resolve()
  })
})

describe('what the first container writes to', () => {
  const message = (attempt: number): string => terminationFile(pod.handle.paths.podDir, 'main', attempt)

  it('is made while the sandbox is, and anew for each later attempt', async () => {
    supportOf(aPod()).prepare(signal)
    await until(() => existsSync(message(0)) && existsSync(join(pod.handle.paths.logDir, 'main')))
    await support.files('main', 0)
    await support.files('main', 1)
    expect(existsSync(message(1))).toBe(true)
  })

  it('is made when it is asked for, where it could not be before', async () => {
    const folder = dirname(message(0))
    await mkdir(dirname(folder), { recursive: true })
    await writeFile(folder, 'in its place')
    supportOf(aPod()).prepare(signal)
    await expect(support.files('main', 0)).rejects.toThrow()
    await rm(folder)
    await support.files('main', 0)
    expect(existsSync(message(0))).toBe(true)
  })

  it('is that of whoever asks', async () => {
    supportOf(aPod()).prepare(signal)
    await support.files('other', 0)
    expect(existsSync(terminationFile(pod.handle.paths.podDir, 'other', 0))).toBe(true)
  })
})

describe('images that a container mounts', () => {
  it('are looked for as its own is', async () => {
    const volumeMounts = [{ name: 'data', mountPath: '/data' }]
    const volumes = [{ name: 'data', image: { reference: old, pullPolicy: 'IfNotPresent' as const } }]
    const of = aPod({ spec: { containers: [aContainer({ volumeMounts })], volumes } })
    pod.runtime.images.set(old, anImage('sha256:data', old))
    const images = await supportOf(of).volumeImages(first(of), signal)
    expect([...images]).toMatchObject([['data', { image: 'sha256:data' }]])
  })
})

describe('the volumes of a Pod', () => {
  const file = () => join(pod.handle.paths.podDir, 'volumes', 'settings', 'level')
  const of = aPod({ spec: { volumes: [{ name: 'settings', configMap: { name: 'settings' } }] } })
  let reads: number

  beforeEach(() => {
    reads = 0
    settings('low')
    const read = sources.configMap.bind(sources)
    sources.configMap = (name) => {
      reads++
      return read(name)
    }
  })

  function settings(level: string): void {
    sources.configMaps.set('settings', { data: { level } })
  }

  async function shows(level: string): Promise<boolean> {
    return (await readFile(file(), 'utf8').catch(() => '')) === level
  }

  it('are prepared once, for all containers', async () => {
    supportOf(of)
    const all = await Promise.all([support.volumes(signal), support.volumes(signal)])
    expect(all[0]).toBe(all[1])
    expect(reads).toBe(1)
    expect(await shows('low')).toBe(true)
  })

  it('are tried anew after a failure', async () => {
    sources.configMaps.clear()
    await expect(supportOf(of).volumes(signal)).rejects.toMatchObject({ reason: 'FailedMount' })
    settings('low')
    await support.volumes(signal)
    expect(await shows('low')).toBe(true)
  })

  it('follow what changes: a burst of news is read once, soon', async () => {
    await supportOf(of).volumes(signal)
    settings('high')
    for (let news = 0; news < 3; news++) sources.change()
    expect(woken).toEqual(['source change', 'source change', 'source change'])
    expect(await shows('low')).toBe(true)
    await pod.clock.advance(100)
    await until(() => shows('high'))
    expect(reads).toBe(2)
  })

  it('follow what changes without news, within a minute, again and again', async () => {
    await supportOf(of).volumes(signal)
    for (const level of ['medium', 'high']) {
      await pod.clock.whenPending(1)
      settings(level)
      await pod.clock.advance(59_999)
      expect(await shows(level)).toBe(false)
      await pod.clock.advance(1)
      await until(() => shows(level))
    }
  })

  it('stay as they are when what they are made of is gone, which is told, and follow when it is back', async () => {
    await supportOf(of).volumes(signal)
    sources.configMaps.clear()
    sources.change()
    await pod.clock.advance(100)
    await until(() => pod.told.length > 0)
    expect(pod.told).toMatchObject([{ type: 'Warning', reason: 'FailedMount' }])
    expect(await shows('low')).toBe(true)
    settings('back')
    await pod.clock.advanceToNext()
    await until(() => shows('back'))
  })

  it('follow a change of the Pod itself at once', async () => {
    await supportOf(of).volumes(signal)
    settings('high')
    support.update({ ...of, metadata: { ...of.metadata, labels: { app: 'web' } } })
    await pod.clock.advance(0)
    await until(() => shows('high'))
  })

  it('are nobody’s business before the Pod starts', async () => {
    supportOf(of).update(of)
    sources.change()
    await pod.clock.advance(100)
    expect(reads).toBe(0)
  })

  it('are followed again by the process that adopts the Pod, though nothing is to be started any more', async () => {
    supportOf(of, { adopting: true })
    await pod.clock.advance(0)
    await until(() => shows('low'))
    settings('high')
    sources.change()
    await pod.clock.advanceToNext()
    await until(() => shows('high'))
  })

  it('are not looked at any more once the Pod is to end', async () => {
    await supportOf(of).volumes(signal)
    await pod.clock.whenPending(1)
    support.stopWaiting()
    expect(pod.clock.pending).toBe(0)
  })

  it('are left alone once the Pod is to end, also by a refresh that was under way', async () => {
    const volumes = await supportOf(of).volumes(signal)
    await pod.clock.whenPending(1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const read = sources.configMap.bind(sources)
    sources.configMap = async (name) => {
      await promise
      return await read(name)
    }
    settings('high')
    sources.change()
    await pod.clock.advance(100)
    support.stopWaiting()
    expect(sources.listeners.size).toBe(0)
    resolve()
    // One after the other: the one under way is over, too.
    await volumes.refresh(of, signal)
    await settled()
    expect(pod.clock.pending).toBe(0)
    expect(pod.told).toEqual([])
  })
})

describe('the probes of a Pod', () => {
  const readinessProbe = { exec: { command: ['true'] }, periodSeconds: 1 }
  const lifecycle = { postStart: { exec: { command: ['prepare'] } } }
  const probed = aContainer({ readinessProbe, lifecycle })
  const of = aPod({ spec: { containers: [probed, aContainer({ name: 'plain' })] } })
  const marks = containerMarks({ generation: 1, container: probed, backoffMs: 0, podIp: '', given: {} })

  it('begin when the postStart hook is done, of those that have some, and end with the container', async () => {
    await pod.put(sandbox(), containerNamed('main', 0, { annotations: marks }), containerNamed('plain'))
    supportOf(of).followProbes()
    expect([...support.probes.wellness.keys()]).toEqual([])
    await pod.handle.notes.note('main', 0, { postStart: 'done' })
    support.followProbes()
    expect([...support.probes.wellness]).toEqual([['main-0', { started: true, ready: false }]])
    pod.runtime.end('main-0')
    await pod.look()
    support.followProbes()
    expect([...support.probes.wellness]).toEqual([])
  })

  it('begin from what the API server was told when the Pod is adopted, and only then', async () => {
    await pod.put(sandbox(), containerNamed('main', 0))
    const known = {
      containerID: 'containerd://main-0',
      name: 'main',
      image: '',
      imageID: '',
      restartCount: 0,
    }
    const status = { containerStatuses: [{ ...known, started: true, ready: true }] }
    supportOf({ ...of, status }, { adopting: true }).followProbes()
    expect(support.probes.wellness.get('main-0')).toMatchObject({ ready: true })
    support.close()
    supportOf({ ...of, status }).followProbes()
    expect(support.probes.wellness.get('main-0')).toMatchObject({ ready: false })
  })

  it('of readiness go on while the Pod ends, until it has', async () => {
    await pod.put(sandbox(), containerNamed('main', 0))
    supportOf(of).followProbes()
    support.stopWaiting()
    expect(support.probes.wellness.size).toBe(1)
    support.close()
    expect(support.probes.wellness.size).toBe(0)
  })
})

describe('what a Pod says of itself', () => {
  it('is its address: the sandbox’s, or the node’s on its network; none while there is none', async () => {
    expect(supportOf(aPod()).podIp).toBe('')
    await pod.put(sandbox())
    expect(support.podIp).toBe('10.0.0.7')
    support.update(aPod({ spec: { hostNetwork: true } }))
    expect(support.podIp).toBe('10.0.0.5')
  })

  it('is its grace: half a minute, unless it says', () => {
    const { terminationGracePeriodSeconds: _unsaid, ...spec } = aPod().spec ?? { containers: [] }
    expect(supportOf({ ...aPod(), spec }).graceSeconds).toBe(30)
    support.update(aPod({ spec: { terminationGracePeriodSeconds: 0 } }))
    expect(support.graceSeconds).toBe(0)
  })

  it('is where its containers stand in it', () => {
    supportOf(aPod({ spec: { initContainers: [aContainer({ name: 'proxy', restartPolicy: 'Always' })] } }))
    expect(support.fieldPath('proxy')).toBe('spec.initContainers{proxy}')
    expect(support.fieldPath('main')).toBe('spec.containers{main}')
  })
})
