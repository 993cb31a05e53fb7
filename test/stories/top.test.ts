/** The real metrics-server, as upstream ships it, and who lives by it: `kubectl top`, a HorizontalPodAutoscaler. */
import { describe, expect, test } from 'vitest'
import type { Resource } from '../../src/kube/api.ts'
import { pods } from '../../src/kube/resources.ts'
import type { KubeObject, PodSpec } from '../../src/model/kubernetes.ts'
import { startSharedCluster, storyHandler } from '../support/shared-cluster.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-top'
const told = story(
  namespace,
  async () => await startSharedCluster({ name: `top-${process.pid}`, metricsServer: true }),
)

const heldMebibytes = 32
const limitMilliCores = 200
/** Takes all that it may, and holds a known amount of memory. */
const burning = {
  containers: [
    {
      name: 'main',
      image: 'docker.io/library/busybox:1.37',
      command: ['sh', '-c', `head -c ${heldMebibytes}m /dev/zero > /held/bytes; while true; do :; done`],
      resources: {
        requests: { cpu: '50m', memory: '16Mi' },
        limits: { cpu: `${limitMilliCores}m`, memory: '64Mi' },
      },
      volumeMounts: [{ name: 'held', mountPath: '/held' }],
    },
  ],
  volumes: [{ name: 'held', emptyDir: { medium: 'Memory' } }],
} satisfies Partial<PodSpec>

const places = { 'on-virtual': outByHand, 'on-server': onServer } as const

interface PodMetrics extends KubeObject {
  readonly containers: readonly { readonly name: string; readonly usage: Record<string, string> }[]
}
const podMetrics: Resource<PodMetrics> = {
  group: 'metrics.k8s.io',
  version: 'v1beta1',
  plural: 'pods',
  kind: 'PodMetrics',
  namespaced: true,
}

describe('with metrics-server on the cluster', () => {
  test('kubectl top knows Pods on virtual nodes as it does those on servers', async () => {
    const { api, signal, until, kubectl } = told.current
    for (const [name, where] of Object.entries(places)) {
      await api.create(pods, scriptPod({ namespace, name }, '', { ...burning, ...where }), signal)
    }
    const topPods = async () => await kubectl('top', 'pods', '--containers', '--no-headers')
    const rows = async (): Promise<readonly (readonly string[])[]> => tableOf((await topPods()).stdout)
    const names = Object.keys(places)
    await until('both are measured', async () => (await rows()).length === names.length, 180_000)
    // The first samples may be of the time before they did.
    const inFull = ([, , cpu = '', memory = '']: readonly string[]): boolean =>
      parseInt(cpu, 10) > 0 && parseInt(memory, 10) >= heldMebibytes
    await until('both burn and hold', async () => (await rows()).every(inFull), 90_000)
    const measured = await rows()
    expect(new Set(measured.map(([pod, container]) => `${pod}/${container}`))).toEqual(
      new Set(names.map((name) => `${name}/main`)),
    )
    for (const [pod, , cpu = '', memory = ''] of measured) {
      const [milliCores, mebibytes] = [parseInt(cpu, 10), parseInt(memory, 10)]
      // Of a busy machine it may get less than its limit, but never noticeably more.
      expect({ pod, cpu, held: milliCores <= limitMilliCores * 1.3 }).toEqual({ pod, cpu, held: true })
      // In gVisor with its kernel, and a file server for what is mounted.
      const most = storyHandler === 'runsc' && pod === 'on-virtual' ? 96 : 48
      expect({ pod, memory, known: mebibytes < most }).toEqual({ pod, memory, known: true })
    }
  })

  test('kubectl top knows virtual nodes as it does servers', async () => {
    const { until, kubectl } = told.current
    const top = async () => tableOf((await kubectl('top', 'nodes', '--no-headers')).stdout)
    const known = ([, cpu = '', cpuShare = '', memory = '', memoryShare = '']: readonly string[]): boolean =>
      /^\d+m$/.test(cpu) && /^\d+%$/.test(cpuShare) && /^\d+Mi$/.test(memory) && /^\d+%$/.test(memoryShare)
    await until('every node is measured', async () => (await top()).filter(known).length === 3, 120_000)
    const names = (await top()).map(([name]) => name)
    expect(new Set(names)).toEqual(new Set(['burst-0', 'burst-1', 'server-0']))
  })

  test('a HorizontalPodAutoscaler scales out what runs on virtual nodes', async () => {
    const { api, signal, until } = told.current
    const labels = { app: 'busy' }
    const [container] = burning.containers
    await api.create(
      deployments,
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { namespace, name: 'busy' },
        spec: {
          replicas: 1,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              ...outByHand,
              terminationGracePeriodSeconds: 1,
              volumes: burning.volumes,
              containers: [
                { ...container, resources: { requests: { cpu: '20m' }, limits: { cpu: '100m' } } },
              ],
            },
          },
        },
      },
      signal,
    )
    await api.create(
      autoscalers,
      {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { namespace, name: 'busy' },
        spec: {
          scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'busy' },
          minReplicas: 1,
          maxReplicas: 3,
          metrics: [
            {
              type: 'Resource',
              resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 60 } },
            },
          ],
        },
      },
      signal,
    )
    const busy = () => told.current.pods().filter(({ metadata }) => metadata?.labels?.['app'] === 'busy')
    await until('three run', () => busy().filter(isReady).length === 3, 240_000)
    expect(busy().every(isVirtual)).toBe(true)
  })

  test('a Pod that is gone is measured no more', async () => {
    const { api, signal, until } = told.current
    await api.delete(pods, { namespace, name: 'on-virtual' }, {}, signal)
    const names = async (): Promise<readonly (string | undefined)[]> =>
      (await api.list(podMetrics, { namespace }, signal)).items.map(({ metadata }) => metadata?.name)
    await until('it is forgotten', async () => !(await names()).includes('on-virtual'), 120_000)
    expect(await names()).toContain('on-server')
  })
})

interface WithSpec extends KubeObject {
  readonly spec: object
}
const deployments: Resource<WithSpec> = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
}
const autoscalers: Resource<WithSpec> = {
  group: 'autoscaling',
  version: 'v2',
  plural: 'horizontalpodautoscalers',
  kind: 'HorizontalPodAutoscaler',
  namespaced: true,
}

function tableOf(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/))
}
