import { beforeAll, expect, test } from 'vitest'
import { events, pods } from '../../src/kube/resources.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-refused'
const told = story(namespace)

const script = 'exec sleep 3600'

const [plain] = scriptPod({ namespace, name: 'plain' }, script).spec?.containers ?? []
if (!plain) throw new Error('a script Pod has a container')

interface Refused {
  readonly name: string
  readonly reason: string
  /** Named in the message. */
  readonly names: string
  readonly spec: Partial<PodSpec>
}

const direct = { nodeName: 'burst-0' }
const refused: readonly Refused[] = [
  feature('claim', 'spec.volumes[0].persistentVolumeClaim', {
    ...direct,
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'none' } }],
  }),
  feature('seccomp-file', 'options.seccompProfiles', {
    securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'own.json' } },
  }),
  profile(
    'host-network',
    'spec.hostNetwork: not allowed in pool "burst" (security.allow lacks "hostNetwork")',
    {
      hostNetwork: true,
    },
  ),
  profile('host-path', 'spec.volumes[0].hostPath: not allowed', {
    ...direct,
    volumes: [{ name: 'root', hostPath: { path: '/' } }],
  }),
  profile('privileged', 'spec.containers[0].securityContext.privileged: not allowed', {
    ...direct,
    containers: [{ ...plain, securityContext: { privileged: true } }],
  }),
  profile('capability', '(security.capabilities lacks "SYS_ADMIN")', {
    containers: [{ ...plain, securityContext: { capabilities: { add: ['SYS_ADMIN'] } } }],
  }),
  profile('unconfined', '(security.allow lacks "unconfinedSeccomp")', {
    securityContext: { seccompProfile: { type: 'Unconfined' } },
  }),
  {
    name: 'sysctls',
    reason: 'SysctlForbidden',
    names: 'forbidden sysctl: "kernel.msgmax" not allowlisted',
    spec: { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '65536' }] } },
  },
  {
    name: 'too-many-cores',
    reason: 'OutOfcpu',
    names: 'cpu',
    spec: { ...direct, containers: [{ ...plain, resources: { requests: { cpu: '1000' } } }] },
  },
  {
    name: 'another-selector',
    reason: 'NodeAffinity',
    names: 'affinity/selector',
    spec: { ...direct, nodeSelector: { 'spillway.dev/pool': 'another' } },
  },
]

beforeAll(async () => {
  const { api, signal, until } = told.current
  await api.create(pods, scriptPod({ namespace, name: 'neighbour' }, script, outByHand), signal)
  await until('the neighbour is ready', () => isReady(told.current.pod('neighbour')))
  for (const { name, spec } of refused) {
    await api.create(pods, scriptPod({ namespace, name }, script, { ...outByHand, ...spec }), signal)
  }
  await api.create(pods, scriptPod({ namespace, name: 'late' }, script, outByHand), signal)
})

test.each(refused)('$name is refused for $reason, and told why', async ({ name, reason, names }) => {
  const { api, signal, until, pod } = told.current
  await until(`${name} is Failed`, () => pod(name)?.status?.phase === 'Failed')
  expect(pod(name)?.status?.reason).toBe(reason)
  expect(pod(name)?.status?.message).toContain(names)
  expect(pod(name)?.status?.containerStatuses?.some(({ state }) => state?.running) ?? false).toBe(false)
  await until(`${name} has its event`, async () => {
    const fieldSelector = `involvedObject.name=${name}`
    const { items } = await api.list(events, { namespace, fieldSelector }, signal)
    return items.some(
      (event) => event.type === 'Warning' && event.reason === reason && event.message?.includes(names),
    )
  })
})

test('its neighbours run on, and later Pods are let in', async () => {
  const { until, pod } = told.current
  await until('the late Pod is ready', () => isReady(pod('late')))
  expect(isReady(pod('neighbour'))).toBe(true)
  expect(restartsOf(pod('neighbour'))).toBe(0)
})

test('whoever may debug a Pod cannot make it privileged: that container waits and is told why, the Pod runs on', async () => {
  const { api, kubectl, running, signal, until, pod } = told.current
  const profileFlags = ['--profile=sysadmin', '--image=docker.io/library/busybox:1.37']
  await kubectl('debug', 'neighbour', '-c', 'probing', ...profileFlags, '--', 'sleep', '3600')
  const waits = () => pod('neighbour')?.status?.ephemeralContainerStatuses?.[0]?.state?.waiting
  const isRefused = () =>
    waits()?.message?.includes(
      'ephemeral container probing.securityContext.privileged: not allowed in pool "burst"',
    )
  await until('the container is refused', () => isRefused() ?? false)
  expect(waits()?.reason).toBe('CreateContainerConfigError')
  // A Spillway that finds it there must not take it for something that was let in.
  await running.killComponent('spillway', signal)
  await running.startComponent('spillway', signal)
  const change = { type: 'merge', body: { spec: { activeDeadlineSeconds: 86_400 } } } as const
  await api.patch(pods, { namespace, name: 'neighbour' }, change, signal)
  await until('the Pod is looked after', async () => {
    const { metadata, status } = await api.get(pods, { namespace, name: 'neighbour' }, signal)
    return status?.observedGeneration === metadata?.generation
  })
  await until('the container is refused again', () => isRefused() ?? false)
  expect(isReady(pod('neighbour'))).toBe(true)
  expect(restartsOf(pod('neighbour'))).toBe(0)
})

test('a container that says nothing of seccomp has the runtime’s filter', async () => {
  const status = await told.current.kubectl('exec', 'neighbour', '--', 'grep', 'Seccomp:', '/proc/1/status')
  expect(status.stdout.trim()).toBe('Seccomp:\t2')
})

function profile(name: string, names: string, spec: Partial<PodSpec>): Refused {
  return { name, reason: 'SecurityProfile', names, spec }
}

function feature(name: string, field: string, spec: Partial<PodSpec>): Refused {
  return { name, reason: 'UnsupportedPodSpec', names: field, spec }
}

function restartsOf(pod: Pod | undefined): number | undefined {
  return pod?.status?.containerStatuses?.[0]?.restartCount
}
