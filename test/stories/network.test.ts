import { beforeAll, describe, expect, test } from 'vitest'
import { pods, services, tokenReviews } from '../../src/kube/resources.ts'
import type { KubeObject, Pod, PodSpec, Service } from '../../src/model/kubernetes.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { onServer, outByHand } from '../support/story-manifests.ts'

const namespace = 'story-network'
const told = story(namespace)
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'

const sides = [
  { from: 'on-server', to: 'on-virtual' },
  { from: 'on-virtual', to: 'on-server' },
] as const

beforeAll(async () => {
  const { api, signal, until } = told.current
  for (const [name, placement] of [
    ['on-server', onServer],
    ['on-virtual', outByHand],
  ] as const) {
    await api.create(services, webService(name), signal)
    await api.create(pods, webPod(name, placement), signal)
  }
  await until('both Pods are ready', () => told.current.pods().filter(isReady).length === 2)
  expect(told.current.pods().filter(isVirtual)).toHaveLength(1)
  for (const name of ['on-server', 'on-virtual']) {
    await until(
      `Service ${name} answers`,
      async () => (await wget(name, `http://to-${name}/hostname`)) === name,
    )
  }
})

describe.each(sides)('from $from to $to', ({ from, to }) => {
  test('a Pod reaches the other by its address, and is seen under its own', async () => {
    expect(addressIn(await wget(from, `http://${ipOf(to)}:8080/clientip`))).toBe(ipOf(from))
  })

  test('a Pod reaches the other through its Service, and is seen under its own address', async () => {
    const { api, signal } = told.current
    const service = await api.get(services, { namespace, name: `to-${to}` }, signal)
    const url = `http://${service.spec?.clusterIP}/clientip`
    expect(addressIn(await wget(from, url))).toBe(ipOf(from))
  })

  test('a Pod finds the other by every form of its DNS name', async () => {
    const service = `to-${to}`
    for (const name of [service, `${service}.${namespace}`, `${service}.${namespace}.svc.cluster.local`]) {
      expect(await wget(from, `http://${name}/hostname`)).toBe(to)
    }
  })

  test('a datagram gets there and back', async () => {
    const script = `/agnhost connect ${ipOf(to)}:8081 --protocol=udp --timeout=5s && echo there`
    expect(await run(from, script)).toBe('there')
  })
})

test('a virtual Pod reaches itself through its own Service', async () => {
  expect(await wget('on-virtual', 'http://to-on-virtual/hostname')).toBe('on-virtual')
})

describe('the API server, from a virtual Pod', () => {
  test('is reached as kubernetes.default, with its certificate checked and the Pod’s token accepted', async () => {
    const { kubectl, until } = told.current
    const log = async () => (await kubectl('logs', 'on-virtual', '-c', 'api-client')).stdout
    // It tells of each call, the hash of its token, and only then of what went wrong.
    await until('the client has called twice', async () => (await log()).split('authz_header=').length > 2)
    expect(await log()).not.toMatch(/failed|error/i)
  })

  test('knows the token as the Pod’s own ServiceAccount, bound to this Pod', async () => {
    const { api, signal, pod } = told.current
    const token = await run('on-virtual', 'cat /var/run/secrets/kubernetes.io/serviceaccount/token')
    const question: TokenReview = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token },
    }
    const { status } = (await api.create(tokenReviews, question, signal)) as TokenReview
    expect(status?.authenticated).toBe(true)
    expect(status?.user?.username).toBe(`system:serviceaccount:${namespace}:default`)
    expect(status?.user?.extra?.['authentication.kubernetes.io/pod-uid']).toEqual([
      pod('on-virtual')?.metadata?.uid,
    ])
  })
})

interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string }
  readonly status?: {
    readonly authenticated?: boolean
    readonly user?: { readonly username: string; readonly extra?: Record<string, string[]> }
  }
}

function webPod(name: string, placement: Partial<PodSpec>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      ...placement,
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: 'web', image: agnhost, args: ['netexec', '--http-port=8080', '--udp-port=8081'] },
        { name: 'api-client', image: agnhost, args: ['inclusterclient', '--poll-interval=1'] },
      ],
    },
  }
}

function webService(name: string): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    // Not the Pod's own name, which its /etc/hosts would answer.
    metadata: { namespace, name: `to-${name}` },
    spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
  }
}

function ipOf(name: string): string {
  return told.current.pod(name)?.status?.podIP ?? 'no address yet'
}

async function run(pod: string, script: string): Promise<string> {
  const { stdout } = await told.current.kubectl('exec', pod, '-c', 'web', '--', 'sh', '-c', script)
  return stdout.trim()
}

async function wget(from: string, url: string): Promise<string> {
  // The image's wget crashes when it is given a timeout of its own.
  return await run(from, `timeout 5 wget -qO- ${url}`)
}

/** netexec answers with address and port. */
function addressIn(text: string): string {
  return text.replace(/:\d+$/, '')
}
