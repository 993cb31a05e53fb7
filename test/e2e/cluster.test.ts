import { readFile, readlink } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { down } from '../../src/dev-cluster/down.ts'
import { findCluster } from '../../src/dev-cluster/find-cluster.ts'
import { silentProgress } from '../../src/dev-cluster/progress.ts'
import { up, type UpResult } from '../../src/dev-cluster/up.ts'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { nodes, pods } from '../../src/kube/resources.ts'
import { systemClock as clock } from '../../src/model/clock.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { findTraces } from '../support/cluster-traces.ts'

const never = new AbortController().signal
const context = {
  environment: process.env,
  processUid: process.getuid?.() ?? -1,
  progress: silentProgress,
  clock,
  log: silentLog(),
  random: Math.random,
}

/** Runs to its end on the server node; exits with 0 only if DNS, Services and the way to the API server work. */
function connectingPod(name: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name },
    spec: {
      restartPolicy: 'Never',
      containers: [
        {
          name: 'connect',
          image: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
          args: ['connect', 'kubernetes.default:443', '--timeout=10s'],
        },
      ],
    },
  }
}

async function createClient({ cluster }: UpResult): Promise<KubeApi & { close(): Promise<void> }> {
  const read = (name: string): Promise<string> => readFile(`${cluster.pkiDir}/${name}`, 'utf8')
  return createKubeClient({
    credentials: explicitCredentials({
      server: cluster.apiServerUrl,
      ca: await read('ca.crt'),
      cert: await read('admin.crt'),
      key: await read('admin.key'),
    }),
    userAgent: 'spillway (test)',
    clock,
    log: context.log,
    random: context.random,
  })
}

function untilEnded(client: KubeApi, name: string): Promise<string> {
  return waitUntil(
    async (signal) => {
      const phase = (await client.get(pods, { namespace: 'default', name }, signal)).status?.phase
      return phase === 'Succeeded' || phase === 'Failed' ? phase : undefined
    },
    { condition: `Pod ${name} has ended`, timeoutMs: 60_000, clock },
    never,
  )
}

describe('an embedded cluster', () => {
  const name = `e2e-cluster-${process.pid}`
  let started: UpResult
  let client: KubeApi & { close(): Promise<void> }

  beforeAll(async () => {
    started = await up({ name, virtualNodes: 1 }, context, never)
    client = await createClient(started)
  })

  afterAll(async () => {
    await client.close()
    await down({ name }, context, never)
  })

  it('has a ready server node with one core and 2 GiB for Pods', async () => {
    const node = await client.get(nodes, { name: 'server-0' }, never)
    expect(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True')
    expect(node.status?.allocatable).toMatchObject({ cpu: '1', memory: '2Gi' })
  })

  it('runs a Pod from the registry, which finds the API server by its DNS name', async () => {
    await client.create(pods, connectingPod('first'), never)
    expect(await untilEnded(client, 'first')).toBe('Succeeded')
  })

  it('is reused, and nothing in it restarted, by a second up', async () => {
    const again = await up({ name }, context, never)
    expect(again.started).toEqual([])
    expect(again.cluster).toEqual(started.cluster)
  })

  it('gets back what died by another up, with its data', async () => {
    await started.running.killComponent('kube-apiserver', never)
    await started.running.killComponent('containerd-server', never)
    expect((await findCluster(name))?.components).toMatchObject({
      'kube-apiserver': false,
      'containerd-server': false,
      kubelet: true,
    })
    const again = await up({ name }, context, never)
    expect([...again.started].sort()).toEqual(['containerd-server', 'kube-apiserver'])
    expect((await client.get(pods, { namespace: 'default', name: 'first' }, never)).status?.phase).toBe(
      'Succeeded',
    )
  })

  it('comes back as a whole when all its processes were killed, as by a reboot', async () => {
    process.kill(started.running.namespace.init.pid, 'SIGKILL')
    await waitUntil(
      async () => ((await findCluster(name))?.components['kubelet'] === false ? true : undefined),
      { condition: 'kubelet is gone', timeoutMs: 10_000, clock },
      never,
    )
    started = await up({ name }, context, never)
    await client.create(pods, connectingPod('second'), never)
    expect(await untilEnded(client, 'second')).toBe('Succeeded')
  })

  it('is refused another shape, with the remedy', async () => {
    await expect(up({ name, virtualNodes: 7 }, context, never)).rejects.toThrow(
      `exists with virtualNodes 1, and virtualNodes 7 is wanted: run "npm run down -- --name ${name}" first`,
    )
  })

  it('leaves no process, mount, namespace, link, rule, cgroup, socket or file behind', async () => {
    const { init } = started.running.namespace
    const traces = {
      clusterName: name,
      hostLink: started.cluster.hostLink,
      networkNamespace: await readlink(`/proc/${init.pid}/ns/net`),
    }
    const before = await findTraces(traces)
    // The search itself is seen to find every kind that is there to be found from outside.
    for (const kind of ['process', 'link', 'cgroup', 'file']) {
      expect(before.some((trace) => trace.startsWith(`${kind} `))).toBe(true)
    }
    expect(await down({ name }, context, never)).toBe(true)
    expect(await findTraces(traces)).toEqual([])
    expect(await down({ name }, context, never)).toBe(false)
  })
})

describe('two embedded clusters', () => {
  const names = ['a', 'b'].map((letter) => `e2e-pair-${letter}-${process.pid}`)

  afterAll(async () => {
    for (const name of names) await down({ name }, context, never)
  })

  it('start at the same moment and stay apart', async () => {
    const both = await Promise.all(names.map((name) => up({ name, serverNode: false }, context, never)))
    expect(new Set(both.map(({ cluster }) => cluster.index)).size).toBe(2)
    for (const result of both) {
      const client = await createClient(result)
      await client.create(pods, connectingPod(result.cluster.name), never)
      const { items } = await client.list(pods, { namespace: 'default' }, never)
      expect(items.map((pod) => pod.metadata?.name)).toEqual([result.cluster.name])
      await client.close()
    }
  })
})

describe('a start that was cut short', () => {
  const name = `e2e-half-${process.pid}`

  afterAll(async () => {
    await down({ name }, context, never)
  })

  it('is undone by down', async () => {
    const stop = new AbortController()
    const spillway = (): Promise<never> => {
      stop.abort(new Error('the power went'))
      return Promise.reject(new Error('the power went'))
    }
    await expect(up({ name, serverNode: false, spillway }, context, stop.signal)).rejects.toThrow(
      'the power went',
    )
    expect((await findCluster(name))?.phase).toBe('starting')
    expect(await down({ name }, context, never)).toBe(true)
    expect(await findTraces({ clusterName: name })).toEqual([])
  })
})
