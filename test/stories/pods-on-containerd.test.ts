import { beforeAll, describe, expect, test } from 'vitest'
import { configMaps, events, pods, secrets, services } from '../../src/kube/resources.ts'
import type { Container, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { isReady, isVirtual, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-pods-on-containerd'
const told = story(namespace)
const forever = 'exec sleep 3600'
const agnhost = 'registry.k8s.io/e2e-test-images/agnhost:2.66.1'

// All at once: what takes long (back-offs) goes by while the rest is looked at.
beforeAll(async () => {
  const { api, signal } = told.current
  const data = { color: 'blue', size: 'large' }
  await api.create(configMaps, { metadata: { namespace, name: 'settings' }, data }, signal)
  await api.create(
    secrets,
    { metadata: { namespace, name: 'secret' }, stringData: { word: 'sesame' } },
    signal,
  )
  const ports = [{ port: 80, targetPort: 8080 }]
  const web = { selector: { app: 'switched' }, ports }
  await api.create(services, { metadata: { namespace, name: 'switched' }, spec: web }, signal)
  await Promise.all(everyPod().map((pod) => api.create(pods, pod, signal)))
})

test('environment: every kind of value reaches the process, and its arguments', async () => {
  const { until, pod, kubectl } = told.current
  await until('it has ended', () => pod('environment')?.status?.phase === 'Succeeded')
  const lines = (await kubectl('logs', 'environment')).stdout.split('\n')
  const ip = pod('environment')?.status?.podIP
  const host = pod('environment')?.status?.hostIP
  for (const line of [
    'argument hello world $(UNKNOWN) $(GREETING)',
    'GREETING=hello world',
    'NAME=environment',
    `POD_IP=${ip}`,
    `HOST_IP=${host}`,
    `NODE=${pod('environment')?.spec?.nodeName}`,
    'LABEL=environment',
    'MEMORY=64',
    'CPU=1',
    'COLOR=blue',
    'WORD=sesame',
    'ALL_size=large',
    'HOSTNAME=environment',
  ]) {
    expect(lines).toContain(line)
  }
  expect(lines.some((line) => line.startsWith('SWITCHED_SERVICE_HOST=10.96.'))).toBe(true)
  expect(lines.some((line) => line.startsWith('KUBERNETES_SERVICE_HOST=10.96.'))).toBe(true)
})

describe('volumes', () => {
  test('are filled from their sources, and shared by containers', async () => {
    const { until, pod } = told.current
    await until('it is ready', () => isReady(pod('volumes')))
    await until('the other container has written', async () => (await read('/shared/note')) === 'from other')
    expect(await read('/settings/color')).toBe('blue')
    expect(await read('/secret/word')).toBe('sesame')
    expect(await read('/about/labels')).toContain('app="volumes"')
    expect(await read('/all/size')).toBe('large')
    expect(await read('/all/token')).toMatch(/^eyJ/)
    expect(await run('volumes', 'grep " /memory " /proc/mounts')).toMatch(/^tmpfs .*size=16384k/)
  })

  test('follow their sources while the Pod runs', async () => {
    const { api, signal, until, kubectl, pod } = told.current
    await until('it is ready', () => isReady(pod('volumes')))
    const body = { data: { color: 'red' } }
    await api.patch(configMaps, { namespace, name: 'settings' }, { type: 'merge', body }, signal)
    expect((await kubectl('label', 'pod', 'volumes', 'later=yes')).code).toBe(0)
    await until('the file follows', async () => (await read('/settings/color')) === 'red')
    await until('labels follow', async () => (await read('/about/labels')).includes('later="yes"'))
  })
})

test('init containers run one after the other, a sidecar beside the rest', async () => {
  const { until, pod } = told.current
  await until('it has ended', () => pod('ordered')?.status?.phase === 'Succeeded')
  const { stdout } = await told.current.kubectl('logs', 'ordered', '-c', 'main')
  expect(stdout).toBe('first\nsidecar\nsecond\nmain\n')
})

describe('when a container ends', () => {
  test('Never: its Pod fails with its exit code', async () => {
    const { until, pod } = told.current
    await until('it failed', () => pod('never')?.status?.phase === 'Failed')
    expect(main('never')?.state?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' })
    expect(main('never')?.restartCount).toBe(0)
  })

  test('over its memory: the reason is OOMKilled', async () => {
    const { until, pod } = told.current
    await until('it failed', () => pod('greedy')?.status?.phase === 'Failed')
    expect(main('greedy')?.state?.terminated).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
  })

  test('OnFailure: it is tried again until it succeeds', async () => {
    const { until, pod } = told.current
    await until('it succeeded', () => pod('on-failure')?.status?.phase === 'Succeeded')
    expect(main('on-failure')?.restartCount).toBe(1)
    expect(main('on-failure')?.lastState?.terminated?.exitCode).toBe(1)
  })

  test('Always: it is restarted, further and further apart', async () => {
    const { until } = told.current
    await until('it waits', () => main('crashing')?.state?.waiting?.reason === 'CrashLoopBackOff')
    await until('it was restarted twice', () => (main('crashing')?.restartCount ?? 0) >= 2)
    await until('people are told', async () => (await reasonsOf('crashing')).includes('BackOff'))
  })
})

describe('what cannot start yet', () => {
  test('waits for its Secret, and then runs', async () => {
    const { api, signal, until, pod } = told.current
    await until('it waits', () => main('keyless')?.state?.waiting?.reason === 'CreateContainerConfigError')
    expect(main('keyless')?.state?.waiting?.message).toContain('late')
    const late = { metadata: { namespace, name: 'late' }, stringData: { word: 'here' } }
    await api.create(secrets, late, signal)
    await until('it runs', () => isReady(pod('keyless')))
  })

  test('an image that is not there: ErrImagePull, then ImagePullBackOff', async () => {
    const { until, pod } = told.current
    await until('it backs off', () => main('imageless')?.state?.waiting?.reason === 'ImagePullBackOff')
    expect(pod('imageless')?.status?.phase).toBe('Pending')
    await until('people are told', async () => {
      const reasons = await reasonsOf('imageless')
      return reasons.includes('Pulling') && reasons.includes('Failed')
    })
  })
})

test('readiness by HTTP, TCP and command decides who is behind the Service', async () => {
  const { until, pod, kubectl } = told.current
  await until('http and tcp hold', () => readyNames('switched').join() === 'http,tcp')
  expect(isReady(pod('switched'))).toBe(false)
  expect(await endpoints()).toEqual([])
  await kubectl('exec', 'switched', '-c', 'switch', '--', 'touch', '/tmp/ready')
  await until('it is ready', () => isReady(pod('switched')))
  await until('the Service leads to it', async () =>
    (await endpoints()).includes(pod('switched')?.status?.podIP),
  )
  await kubectl('exec', 'switched', '-c', 'switch', '--', 'rm', '/tmp/ready')
  await until('it is not ready', () => !isReady(pod('switched')))
  await until('the Service leads elsewhere', async () => (await endpoints()).length === 0)
})

test('a Pod that is deleted may end in its own way, within its grace', async () => {
  const { api, signal, until, pod, kubectl } = told.current
  await until('it runs', () => isReady(pod('polite')))
  expect((await kubectl('delete', 'pod', 'polite', '--wait=false')).code).toBe(0)
  // Its finalizer keeps the object, so that the last status can be read.
  await until('it has ended', () => main('polite')?.state?.terminated !== undefined)
  expect(main('polite')?.state?.terminated?.exitCode).toBe(5)
  await until('people are told', async () => (await reasonsOf('polite')).includes('Killing'))
  const body = { metadata: { finalizers: null } }
  await api.patch(pods, { namespace, name: 'polite' }, { type: 'merge', body }, signal)
  await until('it is gone', () => pod('polite') === undefined)
})

test('a Pod knows its name, its neighbours and where to ask', async () => {
  const { until, pod } = told.current
  await until('it runs', () => isReady(pod('named')))
  expect(await run('named', 'hostname')).toBe('other-name')
  const ip = pod('named')?.status?.podIP
  const fullName = `other-name.family.${namespace}.svc.cluster.local`
  expect(await run('named', 'cat /etc/hosts')).toMatch(
    new RegExp(`^${ip}\\s+${fullName}\\s+other-name$`, 'm'),
  )
  const resolvConf = await run('named', 'cat /etc/resolv.conf')
  expect(resolvConf).toContain('nameserver 10.96.0.10')
  expect(resolvConf).toContain(`search ${namespace}.svc.cluster.local svc.cluster.local cluster.local`)
})

test('limits hold in the container’s cgroup', async () => {
  const { until, pod } = told.current
  await until('it runs', () => isReady(pod('named')))
  const version1 = 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us'
  const version2 = 'cat memory.max; cut -d " " -f 1 cpu.max'
  const found = await run('named', `(${version1}) 2>/dev/null || (cd /sys/fs/cgroup; ${version2})`)
  expect(found.split('\n')).toEqual([String(64 * 1024 ** 2), '20000'])
  expect(pod('named')?.status?.qosClass).toBe('Guaranteed')
  expect(pod('volumes')?.status?.qosClass).toBe('Burstable')
})

test('its status and events are those that a server would show', async () => {
  const { until, pod, kubectl } = told.current
  await until('it runs', () => isReady(pod('named')))
  const conditions = pod('named')?.status?.conditions ?? []
  for (const type of ['PodReadyToStartContainers', 'Initialized', 'ContainersReady', 'Ready']) {
    const condition = conditions.find((one) => one.type === type)
    expect(condition).toMatchObject({ status: 'True', observedGeneration: 1 })
    expect(condition).not.toHaveProperty('reason')
    expect(condition).not.toHaveProperty('message')
  }
  expect(conditions.find(({ type }) => type === 'PodScheduled')?.status).toBe('True')
  const kubelets = ['Scheduled', 'Pulled', 'Created', 'Started']
  await until('the events are there', async () => {
    const reasons = await reasonsOf('named')
    return kubelets.every((reason) => reasons.includes(reason))
  })
  const { stdout } = await kubectl('describe', 'pod', 'named')
  for (const reason of kubelets) expect(stdout).toContain(reason)
  expect(told.current.pods().every(isVirtual)).toBe(true)
})

function everyPod(): readonly Pod[] {
  const shared: Partial<PodSpec> = { volumes: [{ name: 'shared', emptyDir: {} }] }
  const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
  const say = (name: string, script: string): Partial<Container> => ({
    name,
    image: 'docker.io/library/busybox:1.37',
    command: ['sh', '-c', script],
    volumeMounts,
  })
  const wordOf = (name: string) => ({ name: 'WORD', valueFrom: { secretKeyRef: { name, key: 'word' } } })
  return [
    aPod('environment', 'echo argument "$0"; env', environment),
    volumesPod(),
    aPod(
      'ordered',
      'echo main >> /shared/order; cat /shared/order',
      { volumeMounts },
      {
        ...shared,
        initContainers: [
          say('first', 'echo first > /shared/order') as Container,
          {
            ...(say('sidecar', `echo sidecar >> /shared/order; touch /shared/up; ${forever}`) as Container),
            restartPolicy: 'Always',
          },
          say(
            'second',
            'until test -e /shared/up; do sleep 0.1; done; echo second >> /shared/order',
          ) as Container,
        ],
      },
    ),
    aPod('never', 'exit 3'),
    aPod('greedy', 'exec tail /dev/zero', { resources: { limits: { cpu: '200m', memory: '32Mi' } } }),
    aPod(
      'on-failure',
      'test -e /shared/seen || { touch /shared/seen; exit 1; }',
      { volumeMounts },
      {
        ...shared,
        restartPolicy: 'OnFailure',
      },
    ),
    aPod('crashing', 'exit 1', {}, { restartPolicy: 'Always' }),
    aPod('keyless', forever, { env: [wordOf('late')] }),
    aPod('imageless', forever, { image: 'docker.io/library/not-there:1' }),
    switchedPod(),
    finalized(
      aPod(
        'polite',
        "trap 'sleep 1; exit 5' TERM; while true; do sleep 0.1; done",
        {},
        {
          terminationGracePeriodSeconds: 20,
        },
      ),
    ),
    aPod(
      'named',
      forever,
      { resources: { limits: { cpu: '200m', memory: '64Mi' } } },
      {
        hostname: 'other-name',
        subdomain: 'family',
      },
    ),
  ]
}

const environment: Partial<Container> = {
  args: ['$(GREETING) $(UNKNOWN) $$(GREETING)'],
  resources: { limits: { memory: '64Mi', cpu: '500m' } },
  env: [
    { name: 'WHO', value: 'world' },
    { name: 'GREETING', value: 'hello $(WHO)' },
    ...(
      [
        ['NAME', 'metadata.name'],
        ['POD_IP', 'status.podIP'],
        ['HOST_IP', 'status.hostIP'],
        ['NODE', 'spec.nodeName'],
        ['LABEL', "metadata.labels['app']"],
      ] as const
    ).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } })),
    { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
    { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
    { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
    { name: 'WORD', valueFrom: { secretKeyRef: { name: 'secret', key: 'word' } } },
  ],
  envFrom: [{ prefix: 'ALL_', configMapRef: { name: 'settings' } }],
}

function volumesPod(): Pod {
  const names = ['shared', 'memory', 'settings', 'secret', 'about', 'all']
  const mounts = names.map((name) => ({ name, mountPath: `/${name}` }))
  const pod = aPod(
    'volumes',
    forever,
    { volumeMounts: mounts },
    {
      volumes: [
        { name: 'shared', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
        { name: 'settings', configMap: { name: 'settings' } },
        { name: 'secret', secret: { secretName: 'secret' } },
        {
          name: 'about',
          downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
        },
        {
          name: 'all',
          projected: {
            sources: [
              { configMap: { name: 'settings', items: [{ key: 'size', path: 'size' }] } },
              { serviceAccountToken: { path: 'token', audience: 'someone', expirationSeconds: 600 } },
            ],
          },
        },
      ],
    },
  )
  const [first] = pod.spec?.containers ?? []
  const command = ['sh', '-c', `printf 'from other' > /shared/note; ${forever}`]
  if (first) pod.spec?.containers.push({ ...first, name: 'other', command, resources: {} })
  return pod
}

function switchedPod(): Pod {
  const [http, tcp] = [
    { httpGet: { path: '/hostname', port: 8080 }, periodSeconds: 1 },
    { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  ]
  const exec = { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1, failureThreshold: 1 }
  const pod = aPod('switched', forever)
  const containers: Container[] = [
    { name: 'http', image: agnhost, args: ['netexec', '--http-port=8080'], readinessProbe: http },
    { name: 'switch', image: agnhost, args: ['pause'], readinessProbe: exec },
    { name: 'tcp', image: agnhost, args: ['pause'], readinessProbe: tcp },
  ]
  return { ...pod, spec: { ...pod.spec, containers } }
}

function finalized(pod: Pod): Pod {
  return { ...pod, metadata: { ...pod.metadata, finalizers: ['spillway.dev/story'] } }
}

function aPod(
  name: string,
  script: string,
  container: Partial<Container> = {},
  spec: Partial<PodSpec> = {},
): Pod {
  const pod = scriptPod({ namespace, name }, script, { ...outByHand, ...spec })
  const resources = { requests: { cpu: '50m', memory: '16Mi' } }
  const containers = (pod.spec?.containers ?? []).map((main) => ({ ...main, resources, ...container }))
  return { ...pod, spec: { ...pod.spec, containers } }
}

function main(name: string) {
  return told.current.pod(name)?.status?.containerStatuses?.find((status) => status.name === 'main')
}

function readyNames(name: string): string[] {
  const statuses = told.current.pod(name)?.status?.containerStatuses ?? []
  return statuses.filter(({ ready }) => ready).map((status) => status.name)
}

async function run(pod: string, script: string): Promise<string> {
  return (await told.current.kubectl('exec', pod, '-c', 'main', '--', 'sh', '-c', script)).stdout.trim()
}

async function read(path: string): Promise<string> {
  return await run('volumes', `cat ${path}`)
}

async function reasonsOf(name: string): Promise<string[]> {
  const { api, signal } = told.current
  const fieldSelector = `involvedObject.name=${name}`
  const { items } = await api.list(events, { namespace, fieldSelector }, signal)
  return items.map(({ reason }) => reason ?? '')
}

async function endpoints(): Promise<(string | undefined)[]> {
  const path = `{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]}{"\\n"}{end}`
  const { stdout } = await told.current.kubectl(
    'get',
    'endpointslices',
    '-l',
    'kubernetes.io/service-name=switched',
    '-o',
    `jsonpath=${path}`,
  )
  return stdout.split('\n').filter((line) => line !== '')
}
