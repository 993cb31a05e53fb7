import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CommandShell } from '../../../../src/backends/cri/command-shell.ts'
import {
  prepareVolumes,
  removeVolumes,
  type PreparedVolumes,
} from '../../../../src/backends/cri/volumes/volumes.ts'
import { SpillwayError } from '../../../../src/model/errors.ts'
import type { Pod, PodCertificateRequest, PodSpec, Volume } from '../../../../src/model/kubernetes.ts'
import { silentLog } from '../../../../src/telemetry/log.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { containerOf, credentialsFrom, FakeSources, podOf, secretOf } from '../fake-sources.ts'

const { run } = new CommandShell()
const never = new AbortController().signal
let podDir: string
let sources: FakeSources
let clock: FakeClock

beforeEach(async () => {
  podDir = await mkdtemp(join(tmpdir(), 'spillway-volumes-'))
  sources = new FakeSources()
  clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5))
})

afterEach(async () => {
  await rm(podDir, { recursive: true, force: true })
})

function prepare(pod: Pod): Promise<PreparedVolumes> {
  const credentials = credentialsFrom(sources, clock)
  return prepareVolumes(
    { pod, podDir, sources, ...credentials, clock, log: silentLog(), run, tmpfs: false },
    never,
  )
}

function podWith(
  volume: Omit<Volume, 'name'>,
  spec: Partial<PodSpec> = {},
  metadata: Pod['metadata'] = {},
): Pod {
  return podOf({ volumes: [{ name: 'v', ...volume }], ...spec }, metadata)
}

function read(path: string): Promise<string> {
  return readFile(join(podDir, 'volumes/v', path), 'utf8')
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(join(podDir, 'volumes/v', path))).mode & 0o7777).toString(8)
}

describe('a ConfigMap volume', () => {
  it('has a file for each key, text and binary, under ..data', async () => {
    sources.configMaps.set('settings', { data: { a: '1' }, binaryData: { b: 'AAE=' } })
    await prepare(podWith({ configMap: { name: 'settings' } }))
    expect(await read('a')).toBe('1')
    expect([...(await readFile(join(podDir, 'volumes/v/b')))]).toEqual([0, 1])
    expect(await readlink(join(podDir, 'volumes/v/a'))).toBe('..data/a')
    expect(await readlink(join(podDir, 'volumes/v/..data'))).toMatch(/^\.\.2026_01_02_03_04_05\.\d+$/)
    expect(await modeOf('a')).toBe('644')
  })

  it('puts chosen keys at their paths with their modes', async () => {
    sources.configMaps.set('settings', { data: { a: '1', b: '2' } })
    const items = [{ key: 'b', path: 'deep/er/b.txt', mode: 0o400 }]
    await prepare(podWith({ configMap: { name: 'settings', items, defaultMode: 0o600 } }))
    expect(await read('deep/er/b.txt')).toBe('2')
    expect(await modeOf('deep/er/b.txt')).toBe('400')
    await expect(read('a')).rejects.toThrow('ENOENT')
  })

  it('names volume and object when it is missing, and comes up once it is there', async () => {
    const pod = podWith({ configMap: { name: 'later' } })
    await expect(prepare(pod)).rejects.toMatchObject({
      code: 'NotFound',
      reason: 'FailedMount',
      message: 'MountVolume.SetUp failed for volume "v" : configmap "later" not found',
    })
    sources.configMaps.set('later', { data: { a: '1' } })
    await prepare(pod)
    expect(await read('a')).toBe('1')
  })

  it('names a key that is missing', async () => {
    sources.configMaps.set('settings', { data: {} })
    const items = [{ key: 'k', path: 'k' }]
    await expect(prepare(podWith({ configMap: { name: 'settings', items } }))).rejects.toThrow(
      'MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: k',
    )
  })

  it('is empty when it is optional and missing', async () => {
    await prepare(podWith({ configMap: { name: 'none', optional: true } }))
    expect((await readdir(join(podDir, 'volumes/v'))).filter((name) => !name.startsWith('..'))).toEqual([])
  })

  it('swaps all files at once when it changes, and forgets removed keys', async () => {
    sources.configMaps.set('settings', { data: { a: '1', gone: 'x' } })
    const pod = podWith({ configMap: { name: 'settings' } })
    const volumes = await prepare(pod)
    const before = await readlink(join(podDir, 'volumes/v/..data'))
    sources.configMaps.set('settings', { data: { a: '2', fresh: 'y' } })
    expect(await volumes.refresh(pod, never)).toEqual({ changed: true })
    expect([await read('a'), await read('fresh')]).toEqual(['2', 'y'])
    const names = await readdir(join(podDir, 'volumes/v'))
    expect(names).not.toContain('gone')
    expect(names).not.toContain(before)
  })

  it('is not written again when nothing changed', async () => {
    sources.configMaps.set('settings', { data: { a: '1' } })
    const pod = podWith({ configMap: { name: 'settings' } })
    const volumes = await prepare(pod)
    const before = await readlink(join(podDir, 'volumes/v/..data'))
    expect(await volumes.refresh(pod, never)).toEqual({ changed: false })
    await prepare(pod)
    expect(await readlink(join(podDir, 'volumes/v/..data'))).toBe(before)
  })

  it('keeps the old files when it disappears while the Pod runs', async () => {
    sources.configMaps.set('settings', { data: { a: '1' } })
    const pod = podWith({ configMap: { name: 'settings' } })
    const volumes = await prepare(pod)
    sources.configMaps.clear()
    await expect(volumes.refresh(pod, never)).rejects.toThrow('configmap "settings" not found')
    expect(await read('a')).toBe('1')
  })

  it('recovers from a crash in the middle of a swap', async () => {
    sources.configMaps.set('settings', { data: { a: '1' } })
    const pod = podWith({ configMap: { name: 'settings' } })
    const volumes = await prepare(pod)
    const directory = join(podDir, 'volumes/v')
    await mkdir(join(directory, '..2026_01_01_00_00_00.1'))
    await symlink('..2026_01_01_00_00_00.1', join(directory, '..data_tmp'))
    sources.configMaps.set('settings', { data: { a: '2' } })
    await volumes.refresh(pod, never)
    expect(await read('a')).toBe('2')
    const hidden = (await readdir(directory)).filter((name) => name.startsWith('..'))
    expect(hidden).toHaveLength(2)
  })

  it('has directories ready for volumes that are mounted inside it', async () => {
    sources.configMaps.set('settings', { data: { a: '1' } })
    const volumeMounts = [
      { name: 'v', mountPath: '/etc/app' },
      { name: 'w', mountPath: '/etc/app/tls/certs' },
      { name: 'w', mountPath: '/etc/app/tls/certs/more' },
      { name: 'w', mountPath: '/etc/app/tls/certs-of-others' },
    ]
    const volumes = [{ name: 'v', configMap: { name: 'settings' } }, { name: 'w', emptyDir: {} }] // prettier-ignore
    const prepared = await prepare(podOf({ volumes, containers: [containerOf({ volumeMounts })] }))
    expect((await stat(join(podDir, 'volumes/v/tls/certs'))).isDirectory()).toBe(true)
    expect(await readdir(join(podDir, 'volumes/v/tls/certs'))).toEqual([])
    expect((await readdir(join(podDir, 'volumes/v/tls'))).sort()).toEqual(['certs', 'certs-of-others'])
    await prepared.refresh(podOf({ volumes, containers: [containerOf({ volumeMounts })] }), never)
    expect((await stat(join(podDir, 'volumes/v/tls/certs'))).isDirectory()).toBe(true)
  })
})

describe('a Secret volume', () => {
  it('has the decoded values', async () => {
    sources.secrets.set('keys', secretOf({ password: 'söt' }))
    await prepare(podWith({ secret: { secretName: 'keys', defaultMode: 0o400 } }))
    expect(await read('password')).toBe('söt')
    expect(await modeOf('password')).toBe('400')
  })

  it('gives its files to the fsGroup to read', async () => {
    sources.secrets.set('keys', secretOf({ password: 'x' }))
    const gid = process.getgid?.() ?? 0
    const pod = podWith(
      { secret: { secretName: 'keys', defaultMode: 0o400 } },
      { securityContext: { fsGroup: gid } },
    )
    await prepare(pod)
    expect(await modeOf('password')).toBe('440')
    expect(await modeOf('..data')).toBe('2755')
    expect((await stat(join(podDir, 'volumes/v/password'))).gid).toBe(gid)
  })

  it('refuses a path that leads out of the volume', async () => {
    sources.secrets.set('keys', secretOf({ k: 'x' }))
    const items = [{ key: 'k', path: 'a/../../k' }]
    await expect(prepare(podWith({ secret: { secretName: 'keys', items } }))).rejects.toMatchObject({
      code: 'Rejected',
    })
  })
})

describe('a downward API volume', () => {
  it('has labels as quoted lines, single fields, and follows changes of the Pod', async () => {
    const items = [
      { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
      { path: 'tier', fieldRef: { fieldPath: "metadata.labels['tier']" } },
      { path: 'cpu', resourceFieldRef: { containerName: 'app', resource: 'limits.cpu', divisor: '1m' } },
    ]
    const labels = { tier: 'front', b: 'line\n"end"' }
    const pod = podWith({ downwardAPI: { items } }, {}, { labels })
    const volumes = await prepare(pod)
    expect(await read('labels')).toBe('b="line\\n\\"end\\""\ntier="front"')
    expect([await read('tier'), await read('cpu')]).toEqual(['front', '3500'])
    const relabelled = podWith({ downwardAPI: { items } }, {}, { labels: { tier: 'back' } })
    expect(await volumes.refresh(relabelled, never)).toEqual({ changed: true })
    expect(await read('tier')).toBe('back')
  })
})

describe('a projected volume', () => {
  const token = { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }

  it('joins its sources', async () => {
    sources.configMaps.set('kube-root-ca.crt', { data: { 'ca.crt': 'CERT' } })
    sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 3_600_000 }
    const items = [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }]
    const list = [token, { configMap: { name: 'kube-root-ca.crt' } }, { downwardAPI: { items } }]
    await prepare(podWith({ projected: { sources: list } }))
    expect([await read('token'), await read('ca.crt'), await read('namespace')]).toEqual([
      'one',
      'CERT',
      'shop',
    ])
    expect(sources.tokenRequests).toEqual([{ audience: '', expirationSeconds: 3600 }])
  })

  it('replaces a token after four fifths of its life, not before', async () => {
    sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 3_600_000 }
    const pod = podWith({ projected: { sources: [token] } })
    const volumes = await prepare(pod)
    expect(await volumes.refresh(pod, never)).toEqual({ changed: false, nextRefreshMs: 2_880_000 })
    expect(sources.tokenRequests).toHaveLength(1)
    await clock.advance(2_880_000)
    sources.nextToken = { token: 'two', expiresAtMs: clock.wallMs() + 3_600_000 }
    expect(await volumes.refresh(pod, never)).toMatchObject({ changed: true })
    expect(await read('token')).toBe('two')
  })

  it('replaces a token of a year after a day', async () => {
    sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 365 * 86_400_000 }
    const pod = podWith({ projected: { sources: [token] } })
    const volumes = await prepare(pod)
    expect((await volumes.refresh(pod, never)).nextRefreshMs).toBe(86_400_000)
  })

  it('keeps a token that still lives when no new one can be had', async () => {
    sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 3_600_000 }
    const pod = podWith({ projected: { sources: [token] } })
    const volumes = await prepare(pod)
    sources.nextToken = undefined
    await clock.advance(3_000_000)
    expect(await volumes.refresh(pod, never)).toMatchObject({ changed: false })
    await clock.advance(600_000)
    await expect(volumes.refresh(pod, never)).rejects.toThrow('no tokens today')
  })

  it('makes tokens private to the one user that the Pod runs as', async () => {
    sources.nextToken = { token: 'one', expiresAtMs: clock.wallMs() + 3_600_000 }
    const runAsUser = process.getuid?.() ?? 0
    await prepare(podWith({ projected: { sources: [token] } }, { securityContext: { runAsUser } }))
    expect(await modeOf('token')).toBe('600')
  })

  it('has what clusters trust, and follows it', async () => {
    const bundle = (text: string) =>
      `-----BEGIN CERTIFICATE-----\n${Buffer.from(text).toString('base64')}\n-----END CERTIFICATE-----\n`
    sources.trustBundles.push({ metadata: { name: 'roots' }, spec: { trustBundle: bundle('one') } })
    const list = [{ clusterTrustBundle: { name: 'roots', path: 'trusted/roots.pem' } }]
    const pod = podWith({ projected: { sources: list } })
    const volumes = await prepare(pod)
    expect(await read('trusted/roots.pem')).toBe(bundle('one'))
    sources.trustBundles[0]!.spec.trustBundle = `# since noon\n${bundle('two')}`
    expect((await volumes.refresh(pod, never)).changed).toBe(true)
    expect(await read('trusted/roots.pem')).toBe(bundle('two'))
    expect((await volumes.refresh(pod, never)).changed).toBe(false)
  })

  it('names the field of a bundle that the cluster cannot give', async () => {
    sources.clusterTrustBundles = async () => {
      throw new SpillwayError('Unavailable', 'ClusterTrustBundle projection is not supported')
    }
    const list = [{ clusterTrustBundle: { name: 'roots', path: 'roots.pem' } }]
    await expect(prepare(podWith({ projected: { sources: list } }))).rejects.toThrow(
      'MountVolume.SetUp failed for volume "v" : spec.volumes[v].projected.sources[0].clusterTrustBundle: ' +
        'ClusterTrustBundle projection is not supported',
    )
  })

  it('has a key and its certificate, in one file or two, and comes due when they do', async () => {
    const paths = { credentialBundlePath: 'both.pem', keyPath: 'key.pem', certificateChainPath: 'chain.pem' }
    const podCertificate = { signerName: 'example.com/mesh', keyType: 'ECDSAP256', ...paths }
    const pod = podWith({ projected: { sources: [{ podCertificate }] } })
    sources.requestCertificate = async () => {
      const chain = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
      const nowMs = clock.wallMs()
      sources.certificateRequests.set('req-1', {
        ...({} as Pick<PodCertificateRequest, 'spec'>),
        status: {
          conditions: [{ type: 'Issued', status: 'True' }],
          certificateChain: chain,
          beginRefreshAt: new Date(nowMs + 1_800_000).toISOString(),
          notAfter: new Date(nowMs + 3_600_000).toISOString(),
        },
      })
      return 'req-1'
    }
    const volumes = await prepare(pod)
    const [both, key, chain] = await Promise.all(['both.pem', 'key.pem', 'chain.pem'].map(read))
    expect(both).toBe(`${key}${chain}`)
    expect(key).toContain('PRIVATE KEY')
    expect(await volumes.refresh(pod, never)).toEqual({ changed: false, nextRefreshMs: 1_800_000 })
  })

  it('says what all of its sources lack, in one sentence', async () => {
    const list = [{ configMap: { name: 'none' } }, { secret: { name: 'none' } }]
    await expect(prepare(podWith({ projected: { sources: list } }))).rejects.toThrow(
      ': [configmap "none" not found, secret "none" not found]',
    )
  })

  it('refuses a source that it does not know, by name', async () => {
    const list = [{ moonPhase: { path: 'x' } } as object]
    await expect(prepare(podWith({ projected: { sources: list } }))).rejects.toMatchObject({
      code: 'Unsupported',
      message: expect.stringContaining('moonPhase') as string,
    })
  })
})

describe('an emptyDir', () => {
  it('is open to every user and kept when prepared again', async () => {
    const pod = podWith({ emptyDir: {} })
    await prepare(pod)
    expect(await modeOf('')).toBe('777')
    await chmod(join(podDir, 'volumes/v'), 0o700)
    await prepare(pod)
    expect(await modeOf('')).toBe('700')
  })

  it('is given to the fsGroup with the set-group bit', async () => {
    await prepare(podWith({ emptyDir: {} }, { securityContext: { fsGroup: process.getgid?.() ?? 0 } }))
    expect(await modeOf('')).toBe('2777')
  })

  it('has the mode that the Pod asks for', async () => {
    await prepare(podWith({ emptyDir: { mode: 0o1750 } }))
    expect(await modeOf('')).toBe('1750')
  })

  it('in memory is refused where nothing can be mounted', async () => {
    await expect(prepare(podWith({ emptyDir: { medium: 'Memory' } }))).rejects.toMatchObject({
      code: 'Unsupported',
    })
  })
})

describe('a hostPath', () => {
  it('is checked once, and told of in the words of a failed mount', async () => {
    const path = join(podDir, 'there')
    const pod = podWith({ hostPath: { path, type: 'File' } })
    await expect(prepare(pod)).rejects.toMatchObject({
      reason: 'FailedMount',
      message: expect.stringMatching(
        /^MountVolume.SetUp failed for volume "v" : hostPath type check failed, /,
      ) as string,
    })
    await writeFile(path, '')
    const volumes = await prepare(pod)
    await rm(path)
    expect(await volumes.refresh(pod, never)).toEqual({ changed: false })
  })
})

describe('removeVolumes', () => {
  it('removes what another process made, and is content when nothing is there', async () => {
    await prepare(podWith({ emptyDir: {} }))
    await removeVolumes({ podDir, run }, never)
    await removeVolumes({ podDir, run }, never)
    expect(await readdir(podDir)).toEqual([])
  })
})

describe('a kind of volume that is not offered', () => {
  it('is refused by name', async () => {
    await expect(prepare(podWith({ nfs: { server: 'files', path: '/' } }))).rejects.toMatchObject({
      code: 'Unsupported',
      message: 'MountVolume.SetUp failed for volume "v" : volumes of kind nfs are not supported here',
    })
  })
})
