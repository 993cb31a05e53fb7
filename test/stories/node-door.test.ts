import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  clusterRoleBindings,
  clusterRoles,
  ensureClusterRole,
} from '../../src/dev-cluster/spillway-identity.ts'
import { pods, serviceAccounts, tokenReviews } from '../../src/kube/resources.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { KubeObject } from '../../src/model/kubernetes.ts'
import { askDoor, doorQuestions, type Door, type DoorAnswer } from '../support/ask-door.ts'
import {
  anyKey,
  certificatesOf,
  keyIn,
  signedToken,
  tokenParts,
  unsignedToken,
  type DoorCredential,
} from '../support/door-credentials.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-node-door'
const told = story(namespace)
const questions = doorQuestions({ namespace, name: 'target' })
/** By name: what somebody shows who is nobody. Filled before the tests. */
const nobody = new Map<string, DoorCredential>()
/** Somebody whom the cluster knows. */
const somebody = new Map<string, DoorCredential>()
const door: { current?: Door } = {}

/** ServiceAccounts, and what each may do with Nodes. */
const rights = {
  operator: [{ verbs: ['*'], resources: ['proxy', 'log', 'metrics', 'stats'] }],
  scraper: [{ verbs: ['get'], resources: ['metrics'] }],
  'log-reader': [{ verbs: ['get'], resources: ['log'] }],
  reader: [{ verbs: ['get'], resources: ['proxy'] }],
  neighbour: [{ verbs: ['*'], resources: ['proxy', 'log', 'metrics', 'stats'], resourceNames: ['another'] }],
  nothing: [],
} as const

const neverMs = new Date('2000-01-01').getTime()
const admin = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }

beforeAll(async () => {
  const { api, signal, until, pod } = told.current
  for (const [name, rules] of Object.entries(rights)) {
    await api.create(serviceAccounts, { metadata: { namespace, name } }, signal)
    const subject = { kind: 'ServiceAccount', namespace, name }
    const ofNodes = rules.map(({ resources, ...rule }) => ({
      ...rule,
      apiGroups: [''],
      resources: resources.map((resource) => `nodes/${resource}`),
    }))
    await ensureClusterRole(api, `${namespace}-${name}`, ofNodes, subject, signal)
  }
  const target = scriptPod({ namespace, name: 'target' }, 'echo up; read word; echo "heard $word"', outByHand)
  Object.assign(target.spec?.containers[0] ?? {}, { stdin: true })
  await api.create(pods, target, signal)
  await until('the target runs', () => isReady(pod('target')))
  door.current = await doorOf(pod('target')?.spec?.nodeName ?? '')
  await showTokens()
  await showCertificates(pod('target')?.spec?.nodeName ?? '')
})

afterAll(async () => {
  const { api, signal } = told.current
  for (const name of Object.keys(rights).map((account) => `${namespace}-${account}`)) {
    await api.delete(clusterRoleBindings, { name }, {}, signal)
    await api.delete(clusterRoles, { name }, {}, signal)
  }
})

describe('whoever comes to a node’s door', () => {
  test('with what is forged, expired, revoked or of somewhere else is nobody, whatever is asked', async () => {
    const answers = new Set<string>()
    for (const [name, credential] of nobody) {
      for (const { question, answer } of await askAll(credential)) {
        if (answer.status === 401 && answer.body === 'Unauthorized') continue
        answers.add(`${name}: ${question} was answered ${answer.status} ${answer.body.slice(0, 80)}`)
      }
    }
    expect([...answers]).toEqual([])
    expect(nobody.size).toBe(18)
  })

  test.each([
    ['no rights', 'nothing', []],
    ['rights over another node', 'neighbour', []],
    ['no rights, in the name of an admin', 'nothing, impersonating', []],
    ['the certificate of another node', 'another node', []],
    ['the certificate of this node', 'this node', []],
    ['the right to metrics', 'scraper', ['/metrics', '/metrics/cadvisor', '/metrics/resource']],
    // Which a virtual node has none of: kubelet’s own sentence.
    ['the right to the node’s own logs', 'log-reader', ['/logs/']],
    ['the right to read', 'reader', ['logs', '/pods', '/runningpods/', '/configz', '/healthz']],
  ])('with %s gets what it may, and a 403 for all else', async (_what, name, may) => {
    const answers = await askAll(somebody.get(name) ?? {})
    const refused = answers.filter(({ answer }) => answer.status === 403)
    for (const { question, answer } of refused) {
      expect(answer.body, question).toMatch(
        /^Forbidden \(user=[^,]*, verb=\w+, resource=nodes, subresource\(s\)=\[[a-z ]+\]\)\n$/,
      )
    }
    const others = answers.filter((one) => !refused.includes(one))
    expect(others.map(({ question }) => question).sort()).toEqual([...may].sort())
    for (const { question, answer } of others)
      expect(answer.status, question).toBe(question === '/logs/' ? 405 : 200)
  })

  test('has started nothing, attached to nothing and changed nothing by all of that', async () => {
    const { kubectl, pod } = told.current
    const seen = await kubectl(
      'exec',
      'target',
      '--',
      'sh',
      '-c',
      'ls /tmp; for p in /proc/[0-9]*; do cat $p/comm; done',
    )
    expect(seen).toMatchObject({ code: 0 })
    // The container’s own shell, and the one that looks.
    expect(seen.stdout.trim().split('\n').sort()).toEqual(['sh', 'sh'])
    expect((await kubectl('logs', 'target')).stdout).toBe('up\n')
    expect(pod('target')?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
  })

  // Last: it starts something. The refusals above are worth nothing where nobody is let in.
  test.each([
    'the API server',
    'operator',
    'operator, by a token of the cluster’s key',
    'operator, by a token of a Pod that is there',
  ])('as %s is let in by the same requests', async (name) => {
    for (const { question, answer } of await askAll(somebody.get(name) ?? {})) {
      const status = /WebSocket|SPDY/.test(question) ? 101 : question === '/logs/' ? 405 : 200
      expect(answer.status, question).toBe(status)
    }
    const { stdout } = await told.current.kubectl('exec', 'target', '--', 'ls', '/tmp')
    expect(stdout).toBe('forged\n')
  })

  test('without TLS hears nothing but that it is wrong', async () => {
    const { host, port } = doorNow()
    const answer = await fetch(`http://${host}:${port}/healthz`).then(
      ({ status }) => status,
      () => 'no answer',
    )
    expect(answer).toBe('no answer')
    await expect(fetch(`http://${host}:10255/pods`)).rejects.toThrow()
  })
})

async function askAll(credential: DoorCredential): Promise<{ question: string; answer: DoorAnswer }[]> {
  const answers: { question: string; answer: DoorAnswer }[] = []
  for (const question of questions) {
    const answer = await askDoor(doorNow(), question, credential, told.current.signal)
    answers.push({ question: question.name, answer })
  }
  return answers
}

function doorNow(): Door {
  if (!door.current) throw new Error('the door is known once the target runs')
  return door.current
}

async function doorOf(nodeName: string): Promise<Door> {
  const { virtualNodes, nodeAddress, caFile } = told.current.cluster
  const place = virtualNodes.find(({ name }) => name === nodeName)
  if (!place) throw new Error(`the target is on ${nodeName}, which is no virtual node`)
  return { host: nodeAddress, port: place.kubeletPort, ca: await readFile(caFile, 'utf8') }
}

async function tokenOf(account: string, ...flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await told.current.kubectl('create', 'token', account, ...flags)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

/** Bound to a Pod that nobody schedules. */
async function tokenOfPod(name: string): Promise<string> {
  const { api, signal } = told.current
  const waiting = { serviceAccountName: 'operator', schedulingGates: [{ name: 'story/never' }] }
  await api.create(pods, scriptPod({ namespace, name }, 'exec sleep 3600', waiting), signal)
  return await tokenOf('operator', '--bound-object-kind=Pod', `--bound-object-name=${name}`)
}

async function showTokens(): Promise<void> {
  const { api, signal, until, cluster } = told.current
  for (const account of Object.keys(rights)) somebody.set(account, { token: await tokenOf(account) })
  const { token = '' } = somebody.get('operator') ?? {}
  const impersonating = { 'Impersonate-User': 'kubernetes-admin', 'Impersonate-Group': 'system:masters' }
  somebody.set('nothing, impersonating', { ...somebody.get('nothing'), headers: impersonating })
  const { header, claims } = tokenParts(token)
  const ours = await keyIn(join(cluster.pkiDir, 'sa.key'))
  const nowSeconds = Math.floor(systemClock.wallMs() / 1000)
  const times = (from: number, to: number) => ({
    iat: nowSeconds + from,
    nbf: nowSeconds + from,
    exp: nowSeconds + to,
  })
  const likeReal = (more: object) => ({ header, claims: { ...claims, ...more } })
  somebody.set('operator, by a token of the cluster’s key', {
    token: signedToken(likeReal(times(-600, 600)), ours),
  })
  const masters = { ...claims, sub: 'kubernetes-admin', groups: ['system:masters'] }
  const [, payload = '', signature = ''] = token.split('.')
  const tokens = {
    'a word': 'garbage',
    'three words that are no JSON': 'a.b.c',
    'a token without a signature, of system:masters': unsignedToken(masters),
    'a token without a signature, of the account': unsignedToken(claims),
    'a true token whose signature was cut off': token.slice(0, token.lastIndexOf('.') + 1),
    'a true token with other claims': [token.split('.')[0], encodedClaims(masters), signature].join('.'),
    'a true token with a header that says none': [encodedClaims({ alg: 'none' }), payload, signature].join(
      '.',
    ),
    'a token of our own key': signedToken({ header, claims }, anyKey()),
    'a true token for another audience': await tokenOf('operator', '--audience=elsewhere'),
    'an expired token of the cluster’s key': signedToken(likeReal(times(-1200, -600)), ours),
    'a token of the cluster’s key that is not valid yet': signedToken(likeReal(times(600, 1200)), ours),
  }
  for (const [name, forged] of Object.entries(tokens)) nobody.set(name, { token: forged })
  nobody.set('nothing', {})
  nobody.set('a name and a password', { headers: { Authorization: `Basic ${btoa('admin:admin')}` } })
  const revoked = await tokenOfPod('deleted')
  somebody.set('operator, by a token of a Pod that is there', { token: await tokenOfPod('present') })
  await api.delete(pods, { namespace, name: 'deleted' }, { graceSeconds: 0 }, signal)
  await until('the API server knows the token no more', async () => !(await isKnown(revoked)))
  nobody.set('a token of a Pod that was deleted', { token: revoked })
}

async function showCertificates(nodeName: string): Promise<void> {
  const { pkiDir } = told.current.cluster
  const nowMs = systemClock.wallMs()
  const client = { usages: ['client'] as const, atMs: nowMs }
  const node = (name: string) => ({
    commonName: `system:node:${name}`,
    organizations: ['system:nodes'],
    ...client,
  })
  const [other] = await certificatesOf(undefined, [{ ...admin, ...client }])
  const [expired, serving, another, own] = await certificatesOf(pkiDir, [
    { ...admin, usages: ['client'], atMs: neverMs },
    { ...admin, usages: ['server'], atMs: nowMs },
    node(nodeName === 'burst-0' ? 'burst-1' : 'burst-0'),
    node(nodeName),
  ])
  nobody.set('a certificate of another authority', { identity: other! })
  nobody.set('an expired certificate of the right authority', { identity: expired! })
  nobody.set('a certificate that is for serving only', { identity: serving! })
  const front = {
    cert: await readFile(join(pkiDir, 'front-proxy-client.crt'), 'utf8'),
    key: await readFile(join(pkiDir, 'front-proxy-client.key'), 'utf8'),
  }
  const named = { 'X-Remote-User': 'kubernetes-admin', 'X-Remote-Group': 'system:masters' }
  nobody.set('the front proxy’s certificate, in the name of an admin', { identity: front, headers: named })
  somebody.set('another node', { identity: another! })
  somebody.set('this node', { identity: own! })
  somebody.set('the API server', {
    identity: {
      cert: await readFile(join(pkiDir, 'apiserver-kubelet-client.crt'), 'utf8'),
      key: await readFile(join(pkiDir, 'apiserver-kubelet-client.key'), 'utf8'),
    },
  })
}

async function isKnown(token: string): Promise<boolean> {
  const { api, signal } = told.current
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }
  const { status } = (await api.create(tokenReviews, review, signal)) as KubeObject & {
    readonly status?: { readonly authenticated?: boolean }
  }
  return status?.authenticated === true
}

function encodedClaims(claims: object): string {
  return Buffer.from(JSON.stringify(claims)).toString('base64url')
}
