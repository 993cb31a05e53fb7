import type { Container, Pod, PodSpec, Secret } from '../../src/model/kubernetes.ts'
import { plant, type Planted } from './planted.ts'
import { outByHand, scriptPod } from './story-manifests.ts'

/** One of each kind that Spillway handles. */
export const planted = {
  env: plant('variable'),
  envFrom: plant('envFrom'),
  volume: plant('volume'),
  projected: plant('projected volume'),
  wrongLogin: plant('wrong password of a registry'),
  probeHeader: plant('header of a probe'),
  probeArgument: plant('argument of a probe'),
  execArgument: plant('argument of kubectl exec'),
} satisfies Record<string, Planted>

/** No secret: what has to be found, or nothing is. */
export const setting = plant('setting')

const encoded = (text: string): string => Buffer.from(text).toString('base64')

export function plantedSecrets(
  namespace: string,
  registry: { readonly host: string; readonly user: string; readonly password: string },
): Secret[] {
  const opaque = (name: string, { value }: Planted): Secret => ({
    metadata: { namespace, name },
    data: { word: encoded(value) },
  })
  const login = (name: string, password: string): Secret => ({
    metadata: { namespace, name },
    type: 'kubernetes.io/dockerconfigjson',
    data: {
      '.dockerconfigjson': encoded(
        JSON.stringify({ auths: { [registry.host]: { auth: encoded(`${registry.user}:${password}`) } } }),
      ),
    },
  })
  return [
    opaque('env', planted.env),
    opaque('env-from', planted.envFrom),
    opaque('volume', planted.volume),
    opaque('projected', planted.projected),
    login('right', registry.password),
    login('wrong', planted.wrongLogin.value),
  ]
}

const token = { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'env', key: 'word' } } }

/** It is used in every way, and never written out; its preStop hook writes it out and fails. */
function life(): Partial<PodSpec> & Partial<Container> {
  const script = 'trap "exit 0" TERM; echo "$SETTING"; until test -e /tmp/end; do sleep 0.1; done; exit 1'
  return {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 5,
    command: ['sh', '-c', script],
    env: [token, { name: 'SETTING', valueFrom: { configMapKeyRef: { name: 'setting', key: 'word' } } }],
    envFrom: [{ secretRef: { name: 'env-from' }, prefix: 'FROM_' }],
    volumes: [
      { name: 'secret', secret: { secretName: 'volume' } },
      { name: 'projected', projected: { sources: [{ secret: { name: 'projected' } }] } },
    ],
    volumeMounts: [
      { name: 'secret', mountPath: '/secret' },
      { name: 'projected', mountPath: '/projected' },
    ],
    resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
    lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo "$TOKEN" >&2; exit 1'] } } },
  }
}

/** By name: a life, and every way to fail. */
export function plantedPods(namespace: string, image: string): Pod[] {
  const kinds: Readonly<Record<string, Partial<PodSpec> & Partial<Container>>> = {
    life: life(),
    probed: {
      readinessProbe: {
        httpGet: {
          port: 8080,
          httpHeaders: [
            { name: 'Authorization', value: `Basic ${encoded(`admin:${planted.probeHeader.value}`)}` },
          ],
        },
        periodSeconds: 1,
      },
    },
    dying: {
      restartPolicy: 'Always',
      livenessProbe: {
        exec: { command: ['sh', '-c', 'exit 1', planted.probeArgument.value] },
        periodSeconds: 1,
        failureThreshold: 1,
      },
    },
    hook: { lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo "$TOKEN"; exit 1'] } } } },
    keyless: {
      env: [token, { name: 'OTHER', valueFrom: { secretKeyRef: { name: 'env', key: 'none' } } }],
    },
    programless: { command: ['/no/such/program', '--password=$(TOKEN)'] },
    greedy: {
      command: ['sh', '-c', 'true "$TOKEN"; tail /dev/zero'],
      resources: { limits: { cpu: '100m', memory: '16Mi' } },
    },
    pulled: { image, imagePullPolicy: 'Always', imagePullSecrets: [{ name: 'right' }] },
    refused: { image, imagePullPolicy: 'Always', imagePullSecrets: [{ name: 'wrong' }] },
  }
  return Object.entries(kinds).map(([name, kind]) => podOf({ namespace, name }, kind))
}

const podFields = ['restartPolicy', 'terminationGracePeriodSeconds', 'volumes', 'imagePullSecrets'] as const

function podOf(
  at: { readonly namespace: string; readonly name: string },
  kind: Partial<PodSpec> & Partial<Container>,
): Pod {
  const entries = Object.entries(kind)
  const isOfPod = ([field]: readonly [string, unknown]): boolean => podFields.some((one) => one === field)
  const ofPod = Object.fromEntries(entries.filter(isOfPod)) as Partial<PodSpec>
  const pod = scriptPod(at, 'exec sleep 3600', { ...outByHand, ...ofPod })
  const small = { env: [token], resources: { requests: { cpu: '10m', memory: '16Mi' } } }
  const ofContainer = Object.fromEntries(entries.filter((entry) => !isOfPod(entry)))
  const containers = (pod.spec?.containers ?? []).map((main) => ({ ...main, ...small, ...ofContainer }))
  return { ...pod, spec: { ...pod.spec, containers } }
}
