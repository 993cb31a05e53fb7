import fc from 'fast-check'
import type { Container, Pod, PodSpec, Volume } from '../../src/model/kubernetes.ts'

/**
 * One thing about a Pod that nobody would write on purpose, and what has to be said about it: part of an event or of a
 * message in the status. Without `told` it is odd, but no reason not to run.
 */
export interface Oddity {
  readonly name: string
  readonly told?: string | RegExp
  readonly make: (pod: Pod) => Pod
}

/** As the API server prunes nothing of what it knows: it is what takes these fields, not our types. */
type Loose = Readonly<Record<string, unknown>>

function withSpec(name: string, told: Oddity['told'], change: Loose): Oddity {
  const make = (pod: Pod): Pod => ({ ...pod, spec: { ...spec(pod), ...change } })
  return { name, make, ...(told !== undefined && { told }) }
}

function withMain(name: string, told: Oddity['told'], change: Loose | ((main: Container) => Loose)): Oddity {
  const make = (pod: Pod): Pod => {
    const [main, ...others] = spec(pod).containers
    if (!main) return pod
    const changed = { ...main, ...(typeof change === 'function' ? change(main) : change) }
    return { ...pod, spec: { ...spec(pod), containers: [changed, ...others] } }
  }
  return { name, make, ...(told !== undefined && { told }) }
}

/** A volume, mounted unless it is said how else. Its name is the oddity's. */
function withVolume(name: string, told: Oddity['told'], source: Loose, mount: Loose | false = {}): Oddity {
  const make = (pod: Pod): Pod => {
    const volumes = [...(spec(pod).volumes ?? []), { name, ...source } as Volume]
    const containers = spec(pod).containers.map((container) => ({
      ...container,
      volumeMounts: [
        ...(container.volumeMounts ?? []),
        ...(mount ? [{ name, mountPath: `/mnt/${name}`, ...mount }] : []),
      ],
    }))
    return { ...pod, spec: { ...spec(pod), volumes, containers } }
  }
  return { name, make, ...(told !== undefined && { told }) }
}

function withVariable(name: string, told: Oddity['told'], valueFrom: Loose): Oddity {
  return withMain(name, told, ({ env = [] }) => ({ env: [...env, { name: 'ODD', valueFrom }] }))
}

function spec(pod: Pod): PodSpec {
  return pod.spec ?? { containers: [] }
}

const source = (kind: string): RegExp => new RegExp(String.raw`spec\.volumes\[\d+\]\.${kind}`)
const much = (length: number): string => 'x'.repeat(length)

/** What no virtual node does, each with the field that a refusal has to name. */
const unsupported: readonly Oddity[] = [
  withVolume('claim', source('persistentVolumeClaim'), { persistentVolumeClaim: { claimName: 'none' } }),
  withVolume('csi', source('csi'), { csi: { driver: 'none.example.com' } }),
  withVolume('ephemeral', source('ephemeral'), {
    ephemeral: {
      volumeClaimTemplate: {
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    },
  }),
  withVolume('nfs', source('nfs'), { nfs: { server: '127.0.0.1', path: '/' } }),
  withVolume('iscsi', source('iscsi'), {
    iscsi: { targetPortal: '127.0.0.1:3260', iqn: 'iqn.2026-01.x:y', lun: 0 },
  }),
  withVolume('fc', source('fc'), { fc: { targetWWNs: ['50060e801049cfd1'], lun: 0 } }),
  withVolume('rbd', source('rbd'), { rbd: { monitors: ['127.0.0.1'], image: 'none' } }),
  withVolume('cephfs', source('cephfs'), { cephfs: { monitors: ['127.0.0.1'] } }),
  withVolume('huge', source('emptyDir'), { emptyDir: { medium: 'HugePages' } }),
  withSpec('seccomp-file', 'spec.securityContext.seccompProfile', {
    securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'none.json' } },
  }),
  withSpec('sysctl', 'kernel.msgmax', {
    securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '65536' }] },
  }),
  withSpec('selector', 'affinity/selector', { nodeSelector: { nobody: 'has-it' } }),
  withMain('gpu', /nvidia\.com\/gpu|spec\.containers\[0\]\.resources/, {
    resources: { limits: { 'nvidia.com/gpu': '1' } },
  }),
  withMain('cores', 'cpu', { resources: { requests: { cpu: '9000' } } }),
  withMain('memory', 'memory', { resources: { requests: { memory: '9Pi' } } }),
]

/** What the API server lets pass, and what cannot run. */
const impossible: readonly Oddity[] = [
  withMain('no-image-name', /Not an Image/, { image: 'Not an Image!' }),
  withMain('no-such-image', 'library/nobody-built-this', { image: 'docker.io/library/nobody-built-this:1' }),
  withMain('never-pulled', /ErrImageNeverPull|not present with pull policy/, {
    image: 'docker.io/library/nobody-pulled-this:1',
    imagePullPolicy: 'Never',
  }),
  withMain('no-such-command', '/no/such/command', { command: ['/no/such/command'] }),
  withMain('command-is-a-directory', '/etc', { command: ['/etc'] }),
  withMain('empty-command', /exec|command|""/, { command: [''] }),
  withMain('workplace-is-a-file', '/etc/passwd', { workingDir: '/etc/passwd' }),
  withMain('root-forbidden', 'runAsNonRoot', { securityContext: { runAsNonRoot: true } }),
  withMain('no-such-source', 'nobody-has-this-name', {
    envFrom: [{ configMapRef: { name: 'nobody-has-this-name' } }],
  }),
  withMain('no-such-secret', 'nobody-keeps-this', {
    envFrom: [{ secretRef: { name: 'nobody-keeps-this' } }],
  }),
  withVariable('no-such-map', 'nobody-wrote-this', {
    configMapKeyRef: { name: 'nobody-wrote-this', key: 'a' },
  }),
  withVariable('no-such-key', 'kube-root-ca.crt', {
    configMapKeyRef: { name: 'kube-root-ca.crt', key: 'no-such-key' },
  }),
  withVolume('map', /"nobody-mounts-this" not found/, { configMap: { name: 'nobody-mounts-this' } }),
  withVolume('map-key', /no-such-key/, {
    configMap: { name: 'kube-root-ca.crt', items: [{ key: 'no-such-key', path: 'a' }] },
  }),
  withVolume('secret', /"nobody-mounts-this" not found/, { secret: { secretName: 'nobody-mounts-this' } }),
  withVolume('bundle', /clustertrustbundle.+"nobody-trusts-this" not found/, {
    projected: { sources: [{ clusterTrustBundle: { name: 'nobody-trusts-this', path: 'ca.pem' } }] },
  }),
  withVolume('picture', 'library/nobody-mounts-this', {
    image: { reference: 'docker.io/library/nobody-mounts-this:1' },
  }),
  withVolume('on-proc', /proc/, { emptyDir: {} }, { mountPath: '/proc' }),
  withVolume('no-such-variable', /NOBODY_SET_THIS/, { emptyDir: {} }, { subPathExpr: '$(NOBODY_SET_THIS)' }),
  withMain('one-kibibyte', /memory|OOM|oom|container init/, {
    resources: { limits: { memory: '1Ki' }, requests: { memory: '1Ki' } },
  }),
  withMain('hook-without-a-port', /PostStartHook|no-such-port/, {
    lifecycle: { postStart: { httpGet: { port: 'no-such-port' } } },
  }),
  withMain('probe-without-a-port', /no-such-port/, {
    startupProbe: { httpGet: { port: 'no-such-port' }, periodSeconds: 1 },
  }),
]

/** What is strange, or needs leave that the embedded cluster gives, and is no reason not to run. */
const strange: readonly Oddity[] = [
  withVolume('host', undefined, { hostPath: { path: '/etc' } }),
  withSpec('host-network', undefined, { hostNetwork: true }),
  withSpec('host-pid', undefined, { hostPID: true }),
  withSpec('host-ipc', undefined, { hostIPC: true }),
  withMain('privileged', undefined, {
    securityContext: { privileged: true },
  }),
  withMain('capability', undefined, {
    securityContext: { capabilities: { add: ['SYS_MODULE'] } },
  }),
  {
    name: 'host-port',
    // One of each Pod's own: a second Pod with the same port would be refused for it, whatever else is odd about it.
    make: (pod) => {
      const port = 20_000 + Number(pod.metadata?.name?.split('-').at(-1))
      return withMain('', undefined, { ports: [{ containerPort: port, hostPort: port }] }).make(pod)
    },
  },
  withMain('zero-byte', undefined, {
    command: ['sh', '-c', 'echo a\u0000b'],
  }),
  withMain('long-variable', undefined, ({ env = [] }) => ({
    env: [...env, { name: 'LONG', value: much(100_000) }],
  })),
  withMain('many-variables', undefined, ({ env = [] }) => ({
    env: [
      ...env,
      ...Array.from({ length: 2_000 }, (_, at) => ({ name: `V${at}`, value: `$(V${at - 1})${at}` })),
    ],
  })),
  withMain('twice-the-same-variable', undefined, ({ env = [] }) => ({
    env: [...env, { name: 'A', value: '1' }, { name: 'A', value: '$(A)$(A)$$(A)' }],
  })),
  withMain('message-in-a-device', undefined, { terminationMessagePath: '/dev/null' }),
  withMain('relative-message', undefined, { terminationMessagePath: 'relative/message' }),
  withVolume(
    'deep',
    undefined,
    { emptyDir: {} },
    { mountPath: `/${Array.from({ length: 40 }, () => 'deep').join('/')}` },
  ),
  withVolume('colon', undefined, { emptyDir: {} }, { mountPath: '/a b/ü/$(A)' }),
  withVolume('no-mode', undefined, {
    downwardAPI: { defaultMode: 0, items: [{ path: 'a/b/c', fieldRef: { fieldPath: 'metadata.labels' } }] },
  }),
  withSpec('names-of-hosts', undefined, {
    hostAliases: Array.from({ length: 100 }, (_, at) => ({
      ip: `10.99.0.${at}`,
      hostnames: [`h${at}`, `g${at}`],
    })),
  }),
  withSpec('many-searches', undefined, {
    dnsConfig: { searches: Array.from({ length: 20 }, (_, at) => `s${at}.${much(50)}.example.com`) },
  }),
  withSpec('groups', undefined, {
    securityContext: {
      fsGroup: 2_147_483_647,
      supplementalGroups: Array.from({ length: 200 }, (_, at) => at + 1),
    },
  }),
  withSpec('years-of-grace', undefined, { terminationGracePeriodSeconds: 2_147_483_647 }),
  withSpec('no-grace', undefined, { terminationGracePeriodSeconds: 0 }),
  withSpec('short-life', 'DeadlineExceeded', { activeDeadlineSeconds: 1 }),
  {
    name: 'long-annotations',
    make: (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, annotations: { odd: `${much(100_000)}\n"\\ü\u0001`, 'a.b/c': '' } },
    }),
  },
]

export const oddities: readonly Oddity[] = [...unsupported, ...impossible, ...strange]

export interface OddPod {
  readonly pod: Pod
  readonly oddities: readonly Oddity[]
}

/** Each of the oddities once, then one to three of them together, as the seed has it. */
export function oddPods(
  plain: Pod,
  { seed, count }: { readonly seed: number; readonly count: number },
): readonly OddPod[] {
  const one = fc.constantFrom(...oddities)
  const together = fc.uniqueArray(one, { minLength: 1, maxLength: 3 })
  const drawn = fc.sample(together, { seed, numRuns: Math.max(count, 1) })
  const draws = [...oddities.map((oddity) => [oddity]), ...drawn].slice(0, count)
  return draws.map((draw, at): OddPod => {
    // What only looks strange comes first: two that set the same field must not undo what has to be told.
    const chosen = draw.toSorted((a, b) => Number(a.told !== undefined) - Number(b.told !== undefined))
    const named: Pod = { ...plain, metadata: { ...plain.metadata, name: `odd-${at}` } }
    return { pod: chosen.reduce<Pod>((pod, { make }) => make(pod), named), oddities: chosen }
  })
}
