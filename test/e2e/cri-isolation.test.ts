import { readlinkSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Backend } from '../../src/backends/backend.ts'
import { cgroupLayout } from '../../src/backends/cri/resources/cgroup-layout.ts'
import type { CriOptions } from '../../src/backends/cri/config.ts'
import type { Container, Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { containerOf, Follower, isRunning, until } from '../conformance/harness.ts'
import { aContainer, aPod, uidOf } from '../support/builders.ts'
import { criHarness, sh, shell, type CriHarness } from '../support/cri-harness.ts'
import { FakePodSources } from '../support/pod-sources.ts'
import {
  findBinary,
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const missing = missingForContainerd()
const groupsImage = 'docker.io/library/groups:1'
const everything: Partial<CriOptions> = {
  allow: ['hostIPC', 'hostNetwork', 'hostPID', 'hostPort', 'privileged'],
  capabilities: ['ALL'],
  runtimeHandlers: ['runc'],
  unsafeSysctls: ['net.core.somaxconn'],
}

describe.skipIf(missing.length > 0)('what Pods share, and what not, on a real containerd', () => {
  const { signal } = new AbortController()
  const sleeping = shell('main', { does: 'sleep' }).container
  let runtime: PrivateContainerd
  let profiles: string
  let harness: CriHarness
  let backend: Backend
  let follower: Follower
  let sources: FakePodSources
  let serial = 0

  beforeAll(async () => {
    runtime = await startPrivateContainerd({ bridge: 'swcri3', subnet: '10.246.3.0/24' })
    await runtime.importImage(imageWithGroups())
    profiles = await mkdtemp(join(tmpdir(), 'spillway-seccomp-'))
  })

  afterAll(async () => {
    await runtime?.destroy()
    if (profiles) await rm(profiles, { recursive: true })
  })

  beforeEach(async () => {
    await open({ ...everything, seccompProfiles: profiles })
  })

  afterEach(async () => {
    await follower.close()
    await harness.close()
  })

  async function open(options: Partial<CriOptions>): Promise<void> {
    harness = await criHarness(runtime, options)
    backend = harness.backend()
    follower = new Follower(harness)
    sources = new FakePodSources()
    await until(harness, 'the first snapshot', () => follower.synced)
  }

  async function reopen(options: Partial<CriOptions>): Promise<void> {
    await follower.close()
    await harness.close()
    await open(options)
  }

  function podWith(container: Partial<Container>, spec: Partial<PodSpec> = {}): Pod {
    const name = `pod-${++serial}`
    const uid = `00000000-0000-4000-b000-${String(serial).padStart(12, '0')}`
    return aPod({ name, uid, spec: { containers: [aContainer(container)], ...spec } })
  }

  /** What the script prints in a Pod that runs once. */
  async function output(script: string, spec: Partial<PodSpec> = {}, own: Partial<Container> = {}) {
    const pod = podWith({ ...sh(script).container, ...own }, { restartPolicy: 'Never', ...spec })
    await backend.start(pod, sources, signal)
    await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
    return (await logOf(pod)).trim()
  }

  async function logOf(pod: Pod): Promise<string> {
    const options = { follow: false, previous: false, timestamps: false }
    const log = await backend.logs(uidOf(pod), 'main', options, signal)
    return (await log.toArray()).join('')
  }

  async function running(pod: Pod): Promise<void> {
    await backend.start(pod, sources, signal)
    await follower.seen(uidOf(pod), 'running', (one) => isRunning(one))
  }

  function sandboxFailure(pod: Pod): string | undefined {
    const happenings = follower.happenings(uidOf(pod))
    return happenings.find(({ reason }) => reason === 'FailedCreatePodSandBox')?.message
  }

  const ownNamespace = (kind: string): string => readlinkSync(`/proc/self/ns/${kind}`)
  const readNamespaces = 'for kind in net pid ipc uts; do readlink /proc/self/ns/$kind; done'

  it('gives a Pod namespaces of its own, and the machine’s where it asks for them', async () => {
    const shared = ['net', 'pid', 'ipc', 'uts'].map(ownNamespace)
    const own = (await output(readNamespaces)).split('\n')
    expect(own.filter((namespace) => shared.includes(namespace))).toEqual([])
    const host = await output(readNamespaces, { hostNetwork: true, hostPID: true, hostIPC: true })
    expect(host.split('\n')).toEqual(shared)
  })

  it('gives a Pod on the machine’s network its name, its hosts file and the node’s address', async () => {
    const script = 'hostname; echo $IP; cat /etc/hosts'
    const env = [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
    const hostAliases = [{ ip: '1.2.3.4', hostnames: ['here.example'] }]
    const text = await output(script, { hostNetwork: true, hostAliases }, { env })
    expect(text.split('\n').slice(0, 3)).toEqual([
      hostname(),
      sources.node.ips[0],
      '# Kubernetes-managed hosts file (host network).',
    ])
    expect(text).toContain(readFileSync('/etc/hosts', 'utf8').trim())
    expect(text).toMatch(/# Entries added by HostAliases\.\n1\.2\.3\.4\there\.example$/)
  })

  it('lets the containers of a Pod see each other’s processes when they are to', async () => {
    const other = aContainer({ ...sh('exec sleep 4242').container, name: 'other' })
    const script = 'for i in $(seq 50); do ps | grep -q "[s]leep 4242" && echo seen && exit; sleep 0.1; done'
    const main = aContainer(sh(`${script}; echo unseen`).container)
    const seenBy = async (shareProcessNamespace: boolean): Promise<string> => {
      const pod = podWith({}, { shareProcessNamespace, containers: [main, other], restartPolicy: 'Never' })
      await backend.start(pod, sources, signal)
      await follower.seen(
        uidOf(pod),
        'the end of main',
        (one) => containerOf(one).state.kind === 'terminated',
      )
      return (await logOf(pod)).trim()
    }
    expect(await seenBy(true)).toBe('seen')
    expect(await seenBy(false)).toBe('unseen')
  })

  const capabilities = 'grep CapEff /proc/self/status | cut -f2'

  it('gives a container the capabilities that it adds, less those that it drops, and all when privileged', async () => {
    const bits = async (securityContext: Container['securityContext']): Promise<bigint> =>
      BigInt(`0x${await output(capabilities, {}, { securityContext: securityContext ?? {} })}`)
    const [netAdmin, kill] = [1n << 12n, 1n << 5n]
    const usual = await bits({})
    expect(usual & netAdmin).toBe(0n)
    expect(usual & kill).toBe(kill)
    expect(await bits({ capabilities: { add: ['NET_ADMIN'], drop: ['KILL'] } })).toBe(
      (usual | netAdmin) & ~kill,
    )
    expect(await bits({ capabilities: { drop: ['ALL'] } })).toBe(0n)
    const own = /^CapBnd:\t(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    expect(await bits({ privileged: true })).toBe(BigInt(`0x${own}`))
  })

  it('keeps a process from gaining privileges when it is told to', async () => {
    const script = 'grep NoNewPrivs /proc/self/status | cut -f2'
    const told = async (allowPrivilegeEscalation?: boolean): Promise<string> =>
      await output(
        script,
        {},
        {
          securityContext: allowPrivilegeEscalation === undefined ? {} : { allowPrivilegeEscalation },
        },
      )
    expect(await told()).toBe('0')
    expect(await told(true)).toBe('0')
    expect(await told(false)).toBe('1')
  })

  it('hides the machine’s files of /proc and /sys, but not from a privileged container', async () => {
    const script = 'stat -c %F /proc/interrupts; grep -c " /proc/sys proc ro" /proc/mounts'
    expect(await output(script)).toBe('character special file\n1')
    const privileged = await output(script, {}, { securityContext: { privileged: true } })
    expect(privileged).toBe('regular empty file\n0')
  })

  it('filters system calls by the runtime’s profile, one of the node’s, or none where that is asked for', async () => {
    await writeFile(
      join(profiles, 'no-mkdir.json'),
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
      }),
    )
    const script = 'grep Seccomp: /proc/self/status | cut -f2; mkdir /tmp/x 2>&1'
    const under = (seccompProfile: object): Promise<string> =>
      output(script, { securityContext: { seccompProfile } as PodSpec['securityContext'] & object })
    expect(await output(script)).toBe('2')
    expect(await under({ type: 'Unconfined' })).toBe('0')
    expect(await under({ type: 'RuntimeDefault' })).toBe('2')
    expect(await under({ type: 'Localhost', localhostProfile: 'no-mkdir.json' })).toMatch(
      /^2\nmkdir: .*Operation not permitted/,
    )
    const seccompProfile = { type: 'Localhost', localhostProfile: 'none.json' }
    const pod = podWith({ ...sleeping, securityContext: { seccompProfile } })
    await backend.start(pod, sources, signal)
    const seen = await follower.seen(uidOf(pod), 'CreateContainerError', (one) => {
      const { state } = containerOf(one)
      return state.kind === 'waiting' && state.reason === 'CreateContainerError'
    })
    expect(containerOf(seen).state).toMatchObject({ message: expect.stringContaining('none.json') })
  })

  it('adds the groups of the image to those of the Pod, unless they are strict, and tells who it began as', async () => {
    const began = async (supplementalGroupsPolicy?: 'Merge' | 'Strict') => {
      const securityContext = {
        runAsUser: 1000,
        supplementalGroups: [60_000],
        ...(supplementalGroupsPolicy && { supplementalGroupsPolicy }),
      }
      const pod = podWith(
        { ...sh('id -G').container, image: groupsImage },
        { securityContext, restartPolicy: 'Never' },
      )
      await backend.start(pod, sources, signal)
      const seen = await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
      return { log: (await logOf(pod)).trim(), user: containerOf(seen).user }
    }
    const merged = { uid: 1000, gid: 1000, supplementalGroups: [1000, 50_000, 60_000] }
    expect(await began()).toEqual({ log: '1000 50000 60000', user: merged })
    expect(await began('Merge')).toEqual({ log: '1000 50000 60000', user: merged })
    expect(await began('Strict')).toEqual({
      log: '1000 60000',
      user: { ...merged, supplementalGroups: [1000, 60_000] },
    })
  })

  it('sets the kernel parameters of a Pod, and of no other', async () => {
    const script = 'cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/core/somaxconn'
    const sysctls = [
      { name: 'kernel/shm_rmid_forced', value: '1' },
      { name: 'net.core.somaxconn', value: '1234' },
    ]
    expect(await output(script, { securityContext: { sysctls } })).toBe('1\n1234')
    expect(await output(script)).toMatch(/^0\n(?!1234)/)
  })

  it('waits for a RuntimeClass that is not there, and for one with a handler that is offered', async () => {
    sources.setRuntimeClass('vm', 'kata')
    const [late, vm] = ['late', 'vm'].map((name) => podWith(sleeping, { runtimeClassName: name }))
    if (!late || !vm) throw new Error('two Pods')
    await backend.start(late, sources, signal)
    await backend.start(vm, sources, signal)
    await follower.seen(uidOf(late), 'trouble', ({ trouble }) => trouble !== undefined)
    await follower.seen(uidOf(vm), 'trouble', ({ trouble }) => trouble !== undefined)
    expect(sandboxFailure(late)).toBe(
      'Failed to create pod sandbox: runtimeclass.node.k8s.io "late" not found',
    )
    expect(sandboxFailure(vm)).toMatch(/handler "kata" for RuntimeClass .*offered are: runc/)
    expect(follower.last(uidOf(vm))).toMatchObject({ phase: 'starting' })
    sources.setRuntimeClass('late', 'runc')
    await follower.seen(uidOf(late), 'running', (one) => isRunning(one))
  })

  it('takes a port of the machine for a container’s, and gives it back', async () => {
    const listening = sh('while true; do echo hello | nc -l -p 80; done').container
    const ports = [{ containerPort: 80, hostPort: 18_080 }]
    const pod = podWith({ ...listening, ports })
    await running(pod)
    // Not by the loopback, whose packets the kernel does not route.
    const address = '10.246.3.1'
    const answer = (): Promise<string | undefined> => firstLine(address, 18_080)
    await until(harness, 'an answer', async () => (await answer()) === 'hello')
    await backend.stop(uidOf(pod), { graceSeconds: 0 }, signal)
    await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
    expect(await answer()).toBeUndefined()
  })

  it('names a Pod as it wants to be named', async () => {
    const names = (spec: Partial<PodSpec>): Promise<string> => output('hostname; tail -n 1 /etc/hosts', spec)
    const plain = await names({ hostname: 'shop', subdomain: 'web' })
    expect(plain).toMatch(/^shop\n10\.246\.3\.\d+\tshop\.web\.default\.svc\.cluster\.local\tshop$/)
    const whole = await names({ hostname: 'shop', subdomain: 'web', setHostnameAsFQDN: true })
    expect(whole).toMatch(/^shop\.web\.default\.svc\.cluster\.local\n/)
    const override = await names({ hostname: 'shop', subdomain: 'web', hostnameOverride: 'over.example' })
    expect(override).toMatch(/^over\.example\n10\.246\.3\.\d+\tover\.example$/)

    const tooLong = podWith(sleeping, {
      hostname: 'h'.repeat(40),
      subdomain: 'web',
      setHostnameAsFQDN: true,
    })
    await backend.start(tooLong, sources, signal)
    await follower.seen(uidOf(tooLong), 'trouble', ({ trouble }) => trouble !== undefined)
    expect(sandboxFailure(tooLong)).toMatch(
      /^Failed to create pod sandbox: failed to construct FQDN .* is too long \(64 characters is the max, 70/,
    )
  })

  it('writes the resolv.conf that the policy and the spec say', async () => {
    const resolver = (spec: Partial<PodSpec>): Promise<string> => output('cat /etc/resolv.conf', spec)
    expect(await resolver({})).toContain('nameserver 10.96.0.10\noptions ndots:5')
    const host = { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }
    expect(await resolver(host)).toContain('nameserver 10.96.0.10')
    const dnsConfig = { nameservers: ['1.1.1.1'], searches: ['own.example'], options: [{ name: 'edns0' }] }
    expect(await resolver({ dnsPolicy: 'None', dnsConfig })).toBe(
      'search own.example\nnameserver 1.1.1.1\noptions edns0',
    )
  })

  it('limits a Pod as a whole, and its containers by that', async () => {
    const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '500m', memory: '64Mi' } }
    const layout = cgroupLayout(readFileSync('/proc/self/mountinfo', 'utf8'))
    const read =
      layout.version === 2
        ? 'cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max'
        : 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes'
    const cpu = layout.version === 2 ? '50000 100000' : '50000'
    expect(await output(read, { resources })).toBe(`${cpu}\n${64 * 2 ** 20}`)
  })

  it('gives a Pod ids of its own where the runtime can, and says where it cannot', async () => {
    const pod = podWith(sh('cat /proc/self/uid_map; echo $(stat -c %u /etc/hosts)').container, {
      hostUsers: false,
      restartPolicy: 'Never',
    })
    if (!backend.capabilities().features.has('userNamespace')) {
      await expect(backend.start(pod, sources, signal)).rejects.toThrow(
        'spec.hostUsers: user namespace is not offered here (the runtime does not support user namespaces)',
      )
      return
    }
    await backend.start(pod, sources, signal)
    await follower.seen(uidOf(pod), 'stopped', ({ phase }) => phase === 'stopped')
    expect(await logOf(pod)).toMatch(/^\s+0 1879048192\s+65536\n0\n$/)
    expect(await output('cat /proc/self/uid_map', { hostUsers: false })).toMatch(/1879113728 +65536/)
  })

  it('refuses what no option allows, with the field and the option', async () => {
    await reopen({})
    const refusal = async (spec: Partial<PodSpec>, own: Partial<Container> = {}): Promise<void> =>
      await backend.start(podWith(own, spec), sources, signal)
    await expect(refusal({ hostNetwork: true })).rejects.toMatchObject({
      code: 'Rejected',
      message:
        'spec.hostNetwork: host network is not offered here (options.allow of backend "cri" lacks "hostNetwork")',
    })
    await expect(refusal({}, { securityContext: { privileged: true } })).rejects.toThrow(
      'spec.containers[0].securityContext.privileged: privileged is not offered here',
    )
    await expect(refusal({}, { ports: [{ containerPort: 80, hostPort: 80 }] })).rejects.toThrow(
      'spec.containers[0].ports[0].hostPort: host port is not offered here',
    )
  })
})

function firstLine(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 })
    const end = (line: string | undefined): void => {
      socket.destroy()
      resolve(line)
    }
    socket.on('data', (data) => end(data.toString().trim()))
    socket.on('error', () => end(undefined))
    socket.on('close', () => end(undefined))
    socket.on('timeout', () => end(undefined))
  })
}

/** A busybox whose user 1000 is in a group of the image's. */
function imageWithGroups() {
  const content = readFileSync(findBinary('busybox') ?? '/bin/busybox')
  const text = (lines: string): Buffer => Buffer.from(lines)
  return {
    name: groupsImage,
    files: [
      ...['bin', 'etc', 'proc', 'sys', 'dev'].map((path) => ({ path, directory: true })),
      { path: 'bin/busybox', content },
      ...['sh', 'id'].map((name) => ({ path: `bin/${name}`, linkTo: 'busybox' })),
      { path: 'etc/passwd', content: text('guest:x:1000:1000::/:/bin/sh\n'), mode: 0o644 },
      { path: 'etc/group', content: text('guest:x:1000:\nmore:x:50000:guest\n'), mode: 0o644 },
    ],
    config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
  }
}
