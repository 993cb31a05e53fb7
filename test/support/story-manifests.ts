import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { webDeployment, type Deployment } from '../../src/cli/demo/manifests.ts'

const busybox = 'docker.io/library/busybox:1.37'

/** What a user writes to send a Pod out by hand. */
export const outByHand = {
  nodeSelector: { 'spillway.dev/pool': 'burst' },
  tolerations: [
    { key: 'spillway.dev/virtual-node', operator: 'Equal', value: 'burst', effect: 'NoSchedule' },
  ],
} satisfies Partial<PodSpec>

/** On the server node, whatever room there is elsewhere. */
export const onServer = {
  nodeSelector: { 'kubernetes.io/hostname': 'server-0' },
} satisfies Partial<PodSpec>

/** Runs a shell script, sized as half a core and 1 GiB in the Tencent book. */
export function scriptPod(
  at: { readonly namespace: string; readonly name: string },
  script: string,
  spec: Partial<PodSpec> = {},
): Pod {
  const resources = { requests: { cpu: '400m', memory: '64Mi' } }
  const container = { name: 'main', image: busybox, command: ['sh', '-c', script], resources }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...at, labels: { app: at.name } },
    spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers: [container], ...spec },
  }
}

/** The demo's web Deployment with every Pod sent out by hand, or changed otherwise. */
export function webWith(
  at: { readonly namespace: string; readonly name: string },
  replicas: number,
  change: { readonly spec?: Partial<PodSpec>; readonly annotations?: Record<string, string> },
): Deployment {
  const { spec, metadata, ...rest } = webDeployment(at.namespace, replicas)
  const labels = { app: at.name }
  const podMetadata = { labels, ...(change.annotations && { annotations: change.annotations }) }
  const template = { metadata: podMetadata, spec: { ...spec.template.spec, ...change.spec } }
  return {
    ...rest,
    metadata: { ...metadata, ...at },
    spec: { replicas, selector: { matchLabels: labels }, template },
  }
}
