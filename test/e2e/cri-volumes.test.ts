import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CommandShell } from '../../src/backends/cri/command-shell.ts'
import { prepareVolumes, removeVolumes } from '../../src/backends/cri/volumes/volumes.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import {
  containerOf,
  credentialsFrom,
  FakeSources,
  plainMounts,
  podOf,
  secretOf,
} from '../backends/cri/fake-sources.ts'
import { FakeClock } from '../support/fake-clock.ts'

// What needs real mounts, and so root.
const { run } = new CommandShell()
const never = new AbortController().signal
let podDir: string
let sources: FakeSources

beforeEach(async () => {
  podDir = await mkdtemp(join(tmpdir(), 'spillway-mounts-'))
  sources = new FakeSources()
})

afterEach(async () => {
  await removeVolumes({ podDir, run }, never)
  await rm(podDir, { recursive: true })
})

function prepare(pod: Pod) {
  const clock = new FakeClock(0)
  const credentials = credentialsFrom(sources, clock)
  return prepareVolumes({ pod, podDir, sources, ...credentials, clock, log: silentLog(), run }, never)
}

function fileSystemOf(path: string): string {
  return execFileSync('stat', ['-f', '-c', '%T %S %b', path], { encoding: 'utf8' }).trim()
}

describe('volumes of a Pod, as root', () => {
  it('keep secrets off the disk, once, however often they are prepared', async () => {
    sources.secrets.set('keys', secretOf({ k: 'x' }))
    const pod = podOf({ volumes: [{ name: 'v', secret: { secretName: 'keys' } }] })
    await prepare(pod)
    await prepare(pod)
    expect(fileSystemOf(join(podDir, 'volumes/v'))).toMatch(/^tmpfs/)
    expect(await readFile(join(podDir, 'volumes/v/k'), 'utf8')).toBe('x')
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
    expect(mounts.filter((line) => line.includes(podDir))).toHaveLength(1)
  })

  it('hold an emptyDir in memory to its size and give it to the group', async () => {
    const emptyDir = { medium: 'Memory', sizeLimit: '1Mi' }
    await prepare(podOf({ volumes: [{ name: 'v', emptyDir }], securityContext: { fsGroup: 1234 } }))
    const directory = join(podDir, 'volumes/v')
    expect(fileSystemOf(directory)).toBe('tmpfs 4096 256')
    const stats = await stat(directory)
    expect([stats.gid, (stats.mode & 0o7777).toString(8)]).toEqual([1234, '3777'])
    await expect(writeFile(join(directory, 'big'), Buffer.alloc(2 << 20))).rejects.toThrow('ENOSPC')
  })

  it('hold an emptyDir in memory to what the Pod may have', async () => {
    const containers = [containerOf({ resources: { limits: { memory: '4Mi' } } })]
    const emptyDir = { medium: 'Memory', sizeLimit: '64Mi' }
    await prepare(podOf({ volumes: [{ name: 'v', emptyDir }], containers }))
    expect(fileSystemOf(join(podDir, 'volumes/v'))).toBe('tmpfs 4096 1024')
    expect(((await stat(join(podDir, 'volumes/v'))).mode & 0o7777).toString(8)).toBe('1777')
  })

  it('let mounts travel where a container asks for it, and are as before when prepared again', async () => {
    const volumeMounts = [
      { name: 'e', mountPath: '/e', mountPropagation: 'HostToContainer' },
      { name: 'm', mountPath: '/m', mountPropagation: 'Bidirectional' },
      { name: 'n', mountPath: '/n', mountPropagation: 'None' },
    ]
    const volumes = [
      { name: 'e', emptyDir: {} },
      { name: 'm', emptyDir: { medium: 'Memory' } },
      { name: 'n', emptyDir: { medium: 'Memory' } },
    ]
    const pod = podOf({ volumes, containers: [containerOf({ volumeMounts })] })
    await prepare(pod)
    await prepare(pod)
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
    const own = mounts.flatMap((line) => {
      const [, , , , place = '', , tag = ''] = line.split(' ')
      return place.startsWith(podDir) ? [`${place.slice(-1)} ${tag.split(':')[0]}`] : []
    })
    expect(own.sort()).toEqual(['e shared', 'm shared', 'n -'])
  })

  it('mount sub-paths: made when missing, and the file of now for a restarted container', async () => {
    sources.configMaps.set('settings', { data: { k: 'one' } })
    const volumes = [{ name: 'c', configMap: { name: 'settings' } }, { name: 'e', emptyDir: {} }] // prettier-ignore
    const pod = podOf({ volumes, securityContext: { fsGroup: 1234 } })
    const prepared = await prepare(pod)
    const volumeMounts = [
      { name: 'c', mountPath: '/k', subPath: 'k' },
      { name: 'e', mountPath: '/data', subPath: 'deep/down' },
    ]
    const container = containerOf({ volumeMounts })
    const [file, directory] = await prepared.mountsFor(container, plainMounts, never)
    expect(await readFile(file?.hostPath ?? '', 'utf8')).toBe('one')
    await writeFile(join(directory?.hostPath ?? '', 'f'), 'through')
    expect(await readFile(join(podDir, 'volumes/e/deep/down/f'), 'utf8')).toBe('through')
    expect(((await stat(join(podDir, 'volumes/e/deep'))).mode & 0o7777).toString(8)).toBe('2777')
    sources.configMaps.set('settings', { data: { k: 'two' } })
    await prepared.refresh(pod, never)
    expect(await readFile(file?.hostPath ?? '', 'utf8')).toBe('one')
    await prepared.mountsFor(container, plainMounts, never)
    expect(await readFile(file?.hostPath ?? '', 'utf8')).toBe('two')
  })

  it('mount the same sub-path again for a second container start without piling up', async () => {
    const prepared = await prepare(podOf({ volumes: [{ name: 'e', emptyDir: {} }] }))
    const container = containerOf({ volumeMounts: [{ name: 'e', mountPath: '/d', subPath: 'a' }] })
    await prepared.mountsFor(container, plainMounts, never)
    await prepared.mountsFor(container, plainMounts, never)
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
    expect(mounts.filter((line) => line.includes(podDir))).toHaveLength(1)
  })

  it('never follow a link that a container puts in the way', async () => {
    const prepared = await prepare(podOf({ volumes: [{ name: 'e', emptyDir: {} }] }))
    await symlink('/etc', join(podDir, 'volumes/e/out'))
    await symlink('.', join(podDir, 'volumes/e/in'))
    const at = (subPath: string) => containerOf({ volumeMounts: [{ name: 'e', mountPath: '/d', subPath }] })
    await expect(prepared.mountsFor(at('out'), plainMounts, never)).rejects.toThrow(
      'failed to prepare subPath',
    )
    await expect(prepared.mountsFor(at('out/passwd'), plainMounts, never)).rejects.toThrow(
      'failed to prepare subPath',
    )
    expect(await prepared.mountsFor(at('in'), plainMounts, never)).toHaveLength(1)
  })

  it('go without trace, from the directory alone, and take nothing of the volume behind a sub-path', async () => {
    sources.secrets.set('keys', secretOf({ k: 'x' }))
    const volumes = [{ name: 's', secret: { secretName: 'keys' } }, { name: 'e', emptyDir: {} }] // prettier-ignore
    const prepared = await prepare(podOf({ volumes }))
    const volumeMounts = [{ name: 'e', mountPath: '/d', subPath: 'a' }]
    await prepared.mountsFor(containerOf({ volumeMounts }), plainMounts, never)
    await removeVolumes({ podDir, run }, never)
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(podDir)
    await removeVolumes({ podDir, run }, never)
  })
})
