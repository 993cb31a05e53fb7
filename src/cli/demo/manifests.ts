import type { KubeObject, ObjectMeta, Pod, PodSpec, Service } from '../../model/kubernetes.ts'
import type { Resource } from '../../kube/api.ts'

export interface Deployment extends KubeObject {
  spec: {
    replicas: number
    selector: { matchLabels: Record<string, string> }
    template: { metadata: ObjectMeta; spec: PodSpec }
  }
}

export interface Job extends KubeObject {
  spec: { backoffLimit: number; template: { metadata: ObjectMeta; spec: PodSpec } }
  status?: { succeeded?: number; failed?: number }
}

export const deployments: Resource<Deployment> = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
}

export const jobs: Resource<Job> = {
  group: 'batch',
  version: 'v1',
  plural: 'jobs',
  kind: 'Job',
  namespaced: true,
}

// Annotations that the simulator alone reads, for want of a command that runs.
const simulated = 'simulator.spillway.dev'

const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'
const busybox = 'docker.io/library/busybox:1.37'

/** Two of these fill a server of one core; each answers HTTP with its own name. */
export function webDeployment(namespace: string, replicas: number): Deployment {
  const labels = { app: 'web' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: 'web', labels },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { [`${simulated}/print`]: 'serving on port 8080' } },
        spec: {
          terminationGracePeriodSeconds: 5,
          containers: [
            {
              name: 'web',
              image: agnhost,
              args: ['netexec', '--http-port=8080'],
              ports: [{ containerPort: 8080 }],
              readinessProbe: { httpGet: { path: '/hostname', port: 8080 }, periodSeconds: 2 },
              resources: { requests: { cpu: '400m', memory: '64Mi' }, limits: { memory: '256Mi' } },
            },
          ],
        },
      },
    },
  }
}

export function webService(namespace: string): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  }
}

/** Sits on the server, asks for nothing, and calls the Service as any Pod would. */
export function callerPod(namespace: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: 'caller' },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'caller', image: busybox, command: ['sleep', '3600'] }],
    },
  }
}

/** Sent out by hand: the selector says where, the toleration says that it may. */
export function batchJob(namespace: string, pool: string): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { namespace, name: 'report' },
    spec: {
      backoffLimit: 0,
      template: {
        metadata: {
          labels: { app: 'report' },
          annotations: { [`${simulated}/run-ms`]: '3000', [`${simulated}/print`]: 'the report' },
        },
        spec: {
          restartPolicy: 'Never',
          nodeSelector: { 'spillway.dev/pool': pool },
          tolerations: [
            { key: 'spillway.dev/virtual-node', operator: 'Equal', value: pool, effect: 'NoSchedule' },
          ],
          containers: [
            {
              name: 'report',
              image: busybox,
              command: [
                'sh',
                '-c',
                'for i in 1 2 3; do echo "line $i of the report"; sleep 1; done; echo done',
              ],
              resources: { requests: { cpu: '1', memory: '1Gi' } },
            },
          ],
        },
      },
    },
  }
}
