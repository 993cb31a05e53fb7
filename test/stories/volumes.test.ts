import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  clusterTrustBundles,
  configMaps,
  events,
  podCertificateRequests,
  pods,
  secrets,
} from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { ClusterTrustBundle, Pod, Volume } from '../../src/model/kubernetes.ts'
import { answerAnnotation, runSigner, type Signer } from '../support/pod-certificate-signer.ts'
import { killSpillway, startSpillway } from '../support/spillway-process.ts'
import { allowInPool } from '../support/allow-in-pool.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-volumes'
const told = story(namespace)
allowInPool(told, { allow: ['hostPath'], capabilities: [] })
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
const forever = 'trap "exit 0" TERM; while true; do sleep 0.1; done'
const signerName = 'spillway.dev/story'
const keyTypes = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519']
const bundleName = 'spillway.dev:story:live'
const certificateFile = '/all/certs/ED25519.pem'
const otherBundleName = 'spillway.dev:story:other'

let signer: Signer
let hostDirectory: string

beforeAll(async () => {
  const { api, signal, until } = told.current
  signer = await runSigner({ api, clock: systemClock, namespace, signerName }, signal)
  hostDirectory = await mkdtemp(join(tmpdir(), 'spillway-story-host-'))
  await writeFile(join(hostDirectory, 'note'), 'from the machine')
  await api.create(configMaps, { metadata: { namespace, name: 'settings' }, data: { color: 'red' } }, signal)
  const data = { word: Buffer.from('sesame').toString('base64') }
  await api.create(secrets, { metadata: { namespace, name: 'secret' }, data }, signal)
  await api.create(clusterTrustBundles, trustBundle(bundleName, signer.root), signal)
  await api.create(pods, everyVolume(), signal)
  await until('the Pod with every kind of volume is ready', () => isReady(told.current.pod('every')))
})

afterAll(async () => {
  await told.current.kubectl(
    'delete',
    'clustertrustbundle',
    bundleName,
    otherBundleName,
    '--ignore-not-found',
  )
  await rm(hostDirectory, { recursive: true, force: true })
})

test('an emptyDir on disk is the group’s, and one in memory ends at its limit', async () => {
  expect(await run('stat -c "%g %a" /disk')).toBe('4321 2777')
  expect(await run("df -k /memory | tail -n 1 | awk '{ print $1, $2 }'")).toBe('tmpfs 2048')
  expect(await run('dd if=/dev/zero of=/memory/much bs=1k count=4096 2>&1 || true')).toContain(
    'No space left',
  )
})

test('files have the mode that the volume or the item says, and what the group needs', async () => {
  // fsGroup adds reading for the group.
  expect(await run('stat -Lc "%g %a" /settings/color /secret/word')).toBe('4321 640\n4321 440')
})

test('a path by expression is the Pod’s own, and an image’s files and the machine’s are there', async () => {
  expect(await run('touch /own/mine; ls /disk/every')).toBe('mine')
  expect(await run('test -x /picture/agnhost && echo yes')).toBe('yes')
  expect(await run('touch /picture/new 2>&1 || true')).toContain('Read-only')
  expect(await run('cat /host/note; printf back > /host/answer')).toBe('from the machine')
  expect(await readFile(join(hostDirectory, 'answer'), 'utf8')).toBe('back')
})

test('one projected volume holds all kinds of sources', async () => {
  const names = (await run('cd /all; ls')).split('\n')
  expect(names).toEqual(['certs', 'color', 'labels', 'roots.pem', 'token', 'word'])
  expect(await run('cat /all/color /all/word /all/labels')).toBe('redsesameapp="every"')
  const [, claims = ''] = (await run('cat /all/token')).split('.')
  const { aud, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
  expect(aud).toEqual(['somebody'])
  expect(Number(exp) - Number(iat)).toBe(600)
  expect(await run('cat /all/roots.pem')).toBe(signer.root.trim())
})

test.each(keyTypes)('a key of type %s and its certificate belong together', async (keyType) => {
  const root = new X509Certificate(signer.root)
  const bundle = await run(`cat /all/certs/${keyType}.pem`)
  const leaf = new X509Certificate(bundle.slice(bundle.indexOf('-----BEGIN CERTIFICATE')))
  expect(leaf.checkPrivateKey(createPrivateKey(bundle))).toBe(true)
  expect(leaf.verify(root.publicKey)).toBe(true)
  expect(leaf.subjectAltName).toBe('DNS:every')
})

test('the node asked for each certificate once, in the Pod’s name', async () => {
  const { api, signal, pod } = told.current
  const { metadata, spec } = pod('every') ?? {}
  const { items } = await api.list(podCertificateRequests, { namespace }, signal)
  const own = items.filter((request) => request.spec.podUID === metadata?.uid)
  expect(own).toHaveLength(keyTypes.length)
  for (const request of own) {
    expect(request.metadata?.ownerReferences).toMatchObject([{ kind: 'Pod', name: 'every' }])
    expect(request.spec).toMatchObject({ nodeName: spec?.nodeName, maxExpirationSeconds: 7200 })
  }
})

test('ConfigMap, Secret, labels and trust bundle follow, but not through a subPath', async () => {
  const { api, signal, until } = told.current
  const merge = (body: object) => ({ type: 'merge', body }) as const
  await api.patch(configMaps, { namespace, name: 'settings' }, merge({ data: { color: 'blue' } }), signal)
  const word = Buffer.from('simsalabim').toString('base64')
  await api.patch(secrets, { namespace, name: 'secret' }, merge({ data: { word } }), signal)
  await api.patch(
    pods,
    { namespace, name: 'every' },
    merge({ metadata: { labels: { mood: 'fine' } } }),
    signal,
  )
  const cluster = await readFile(told.current.cluster.caFile, 'utf8')
  const both = `${signer.root}the cluster's own:\n${cluster}`
  await api.patch(clusterTrustBundles, { name: bundleName }, merge({ spec: { trustBundle: both } }), signal)
  // What is in two bundles is there once.
  await api.create(clusterTrustBundles, trustBundle(otherBundleName, cluster), signal)
  await until('the files have followed', async () => {
    const files = 'cat /settings/color /secret/word /about/labels /all/color; grep -c BEGIN /all/roots.pem'
    const text = await run(files)
    return text === 'bluesimsalabimapp="every"\nmood="fine"blue2'
  })
  expect(await run('cat /single/color')).toBe('red')
})

test('after the death of Spillway the same container sees what has changed, and a new certificate', async () => {
  const { api, signal, until, pod } = told.current
  const before = await run(`cat ${certificateFile}`)
  await killSpillway(told.current)
  const change = { type: 'merge', body: { data: { color: 'green' } } } as const
  await api.patch(configMaps, { namespace, name: 'settings' }, change, signal)
  const { metadata } = pod('every') ?? {}
  await startSpillway(told.current)
  await until('the file has followed', async () => (await run('cat /settings/color')) === 'green')
  await until('there is another certificate', async () => (await run(`cat ${certificateFile}`)) !== before)
  const bundle = await run(`cat ${certificateFile}`)
  const leaf = new X509Certificate(bundle.slice(bundle.indexOf('-----BEGIN CERTIFICATE')))
  expect(leaf.checkPrivateKey(createPrivateKey(bundle))).toBe(true)
  expect(pod('every')?.metadata?.uid).toBe(metadata?.uid)
  expect(pod('every')?.status?.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0])
})

test('a Pod whose signer says no waits, and is told why', async () => {
  const { api, signal, until, pod } = told.current
  const refused = certificateOf('ED25519', { userAnnotations: { [answerAnnotation]: 'Denied' } })
  await api.create(pods, withProjected('denied', refused), signal)
  await until('it is told by the volume', async () => {
    const sentence =
      'PodCertificateRequest was permanently denied: reason="AsAsked" message="the Pod said so"'
    return (await messagesOf('denied', 'FailedMount')).some((message) => message.includes(sentence))
  })
  expect(await messagesOf('denied', 'Denied')).toHaveLength(1)
  expect(pod('denied')?.status?.phase).toBe('Pending')
})

test('a Pod that trusts what is not there waits, and runs when it is', async () => {
  const { api, signal, until, pod } = told.current
  const name = 'story-volumes-late'
  await api.create(pods, withProjected('late', { clusterTrustBundle: { name, path: 'ca.pem' } }), signal)
  await until('it is told', async () =>
    (await messagesOf('late', 'FailedMount')).some((message) => message.includes(`"${name}" not found`)),
  )
  const bundle = { metadata: { name }, spec: { trustBundle: signer.root } }
  await api.create(clusterTrustBundles, bundle, signal)
  try {
    await until('it is ready', () => isReady(pod('late')))
  } finally {
    await api.delete(clusterTrustBundles, { name }, {}, signal)
  }
})

function everyVolume(): Pod {
  const volumes: Volume[] = [
    { name: 'disk', emptyDir: { sizeLimit: '64Mi' } },
    { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } },
    { name: 'settings', configMap: { name: 'settings', defaultMode: 0o600 } },
    {
      name: 'secret',
      secret: { secretName: 'secret', items: [{ key: 'word', path: 'word', mode: 0o400 }] },
    },
    {
      name: 'about',
      downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
    },
    { name: 'host', hostPath: { path: hostDirectory, type: 'Directory' } },
    { name: 'picture', image: { reference: agnhost, pullPolicy: 'IfNotPresent' } },
    { name: 'all', projected: { sources: allSources() } },
  ]
  const pod = scriptPod({ namespace, name: 'every' }, forever, {
    ...outByHand,
    securityContext: { fsGroup: 4321 },
    volumes,
  })
  const [main] = pod.spec?.containers ?? []
  main!.env = [{ name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]
  main!.volumeMounts = [
    ...volumes.map(({ name }) => ({ name, mountPath: `/${name}` })),
    { name: 'disk', mountPath: '/own', subPathExpr: '$(POD)' },
    { name: 'settings', mountPath: '/single/color', subPath: 'color' },
  ]
  return pod
}

type Sources = NonNullable<NonNullable<Volume['projected']>['sources']>

function allSources(): Sources {
  return [
    { configMap: { name: 'settings' } },
    { secret: { name: 'secret' } },
    { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
    { serviceAccountToken: { path: 'token', audience: 'somebody', expirationSeconds: 600 } },
    {
      clusterTrustBundle: {
        signerName,
        labelSelector: { matchLabels: { live: 'yes' } },
        path: 'roots.pem',
      },
    },
    ...keyTypes.map((keyType) => certificateOf(keyType, {})),
  ]
}

function certificateOf(keyType: string, more: object): Sources[number] {
  const credentialBundlePath = `certs/${keyType}.pem`
  return {
    podCertificate: { signerName, keyType, maxExpirationSeconds: 7200, credentialBundlePath, ...more },
  }
}

function withProjected(name: string, source: Sources[number]): Pod {
  const volumes: Volume[] = [{ name: 'all', projected: { sources: [source] } }]
  const pod = scriptPod({ namespace, name }, forever, { ...outByHand, volumes })
  const [main] = pod.spec?.containers ?? []
  main!.volumeMounts = [{ name: 'all', mountPath: '/all' }]
  return pod
}

function trustBundle(name: string, pem: string): ClusterTrustBundle {
  return { metadata: { name, labels: { live: 'yes' } }, spec: { signerName, trustBundle: pem } }
}

async function run(script: string): Promise<string> {
  return (await told.current.kubectl('exec', 'every', '--', 'sh', '-c', script)).stdout.trim()
}

async function messagesOf(name: string, reason: string): Promise<string[]> {
  const { api, signal } = told.current
  const fieldSelector = `involvedObject.name=${name},reason=${reason}`
  const { items } = await api.list(events, { namespace, fieldSelector }, signal)
  return items.map(({ message }) => message ?? '')
}
