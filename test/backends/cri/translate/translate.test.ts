import { describe, expect, it } from 'vitest'
import {
  containerConfig,
  plannedContainers,
  sandboxConfig,
  type ContainerInput,
} from '../../../../src/backends/cri/translate/translate.ts'
import type { Machine } from '../../../../src/backends/cri/resources/machine.ts'
import { podPaths } from '../../../../src/backends/cri/paths.ts'
import { podRef } from '../../../../src/model/pod-key.ts'
import type { Pod } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'
import { image, owner } from '../../../support/cri-samples.ts'

const gib = 2n ** 30n
const machine: Machine = {
  memoryBytes: 16n * gib,
  cgroupVersion: 1,
  limitsSwap: true,
  hugepageSizes: ['1GB', '2MB'],
  maskedPaths: [],
}

function translated(pod: Pod, more: Partial<ContainerInput> = {}) {
  const paths = podPaths('/state', podRef(pod))
  const dns = { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] }
  const sandbox = sandboxConfig({
    pod,
    owner,
    nodeName: 'burst-0',
    attempt: 0,
    hostname: 'web',
    dns,
    paths,
    cgroupParent: '/spillway/pods/poduid-of-web',
    userNamespace: more.userNamespace,
  })
  const containers = plannedContainers(pod).map((planned) =>
    containerConfig({
      pod,
      ...planned,
      owner,
      attempt: 2,
      backoffMs: 10_000,
      podIp: '10.245.0.7',
      image,
      environment: [{ key: 'WHO', value: 'world' }],
      volumeMounts: [
        { containerPath: '/data', hostPath: '/state/v', readonly: true, propagation: 'PROPAGATION_PRIVATE' },
      ],
      etcHosts: '/state/etc-hosts',
      paths,
      machine,
      ...more,
    }),
  )
  return { sandbox, containers }
}

describe('a Pod in the words of CRI', () => {
  it('of the plainest kind', async () => {
    const text = JSON.stringify(translated(aPod()), undefined, 2)
    await expect(text).toMatchFileSnapshot('golden/plain-pod.json')
  })

  it('with its own labels and annotations on the sandbox, none of which passes for ours', () => {
    const labels = { app: 'web', 'io.kubernetes.pod.uid': 'another', 'spillway.dev/instance': 'another' }
    const annotations = { 'kubernetes.io/egress-bandwidth': '10M', 'spillway.dev/generation': '99' }
    const plain = translated(aPod())
    const { sandbox, containers } = translated(aPod({ metadata: { labels, annotations } }))
    expect(sandbox.labels).toEqual({ ...plain.sandbox.labels, app: 'web' })
    expect(sandbox.annotations).toEqual({
      ...plain.sandbox.annotations,
      'kubernetes.io/egress-bandwidth': '10M',
    })
    expect(containers).toEqual(plain.containers)
  })

  it('with everything set that is carried over', async () => {
    const pod = aPod({
      spec: {
        securityContext: {
          runAsUser: 1000,
          runAsGroup: 3000,
          fsGroup: 2000,
          supplementalGroups: [4000],
          seccompProfile: { type: 'RuntimeDefault' },
        },
        initContainers: [aContainer({ name: 'proxy', restartPolicy: 'Always' })],
        containers: [
          aContainer({
            command: ['greet', '$(WHO)'],
            args: ['$$(WHO)', '$(NOBODY)'],
            workingDir: '/work',
            tty: true,
            stdin: true,
            terminationMessagePath: '/last-words',
            terminationMessagePolicy: 'FallbackToLogsOnError',
            resources: { requests: { cpu: '250m', memory: '1Gi' }, limits: { cpu: '1', memory: '2Gi' } },
            securityContext: {
              runAsUser: 1001,
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
              seccompProfile: { type: 'Unconfined' },
            },
          }),
        ],
      },
    })
    await expect(JSON.stringify(translated(pod), undefined, 2)).toMatchFileSnapshot('golden/full-pod.json')
  })

  it('with all of the machine that it may share', async () => {
    const pod = aPod({
      spec: {
        hostIPC: true,
        hostNetwork: true,
        hostPID: true,
        overhead: { cpu: '100m', memory: '64Mi' },
        containers: [
          aContainer({
            ports: [{ containerPort: 80, hostPort: 80 }],
            securityContext: { privileged: true, capabilities: { add: ['ALL'] } },
          }),
        ],
      },
    })
    await expect(JSON.stringify(translated(pod), undefined, 2)).toMatchFileSnapshot('golden/host-pod.json')
  })

  it('with ids, ports and kernel parameters of its own', async () => {
    const pod = aPod({
      spec: {
        hostUsers: false,
        shareProcessNamespace: true,
        securityContext: {
          supplementalGroups: [60_000],
          supplementalGroupsPolicy: 'Strict',
          sysctls: [{ name: 'kernel/shm_rmid_forced', value: '1' }],
          appArmorProfile: { type: 'Unconfined' },
          seccompProfile: { type: 'Localhost', localhostProfile: 'profiles/own.json' },
        },
        resources: { requests: { cpu: '500m' }, limits: { cpu: '1', memory: '1Gi', 'hugepages-2Mi': '4Mi' } },
        containers: [
          aContainer({
            ports: [
              { containerPort: 80, hostPort: 8080, hostIP: '127.0.0.1' },
              { containerPort: 53, hostPort: 53, protocol: 'UDP' },
              { containerPort: 9090 },
            ],
            securityContext: { procMount: 'Unmasked' },
          }),
        ],
      },
    })
    const more = { userNamespace: { firstId: 0x7000_0000, length: 65_536 }, seccompProfiles: '/profiles' }
    await expect(JSON.stringify(translated(pod, more), undefined, 2)).toMatchFileSnapshot(
      'golden/isolated-pod.json',
    )
  })

  it('leaves /etc/hosts to the user who mounts something there', () => {
    const pod = aPod()
    const [planned] = plannedContainers(pod)
    if (!planned) throw new Error('no container')
    const config = containerConfig({
      pod,
      ...planned,
      owner,
      attempt: 0,
      backoffMs: 0,
      podIp: '10.245.0.7',
      image,
      environment: [],
      volumeMounts: [
        {
          containerPath: '/etc/hosts',
          hostPath: '/own',
          readonly: false,
          propagation: 'PROPAGATION_PRIVATE',
        },
      ],
      etcHosts: '/state/etc-hosts',
      paths: podPaths('/state', podRef(pod)),
      machine,
    })
    const hosts = config.mounts.filter(({ containerPath }) => containerPath === '/etc/hosts')
    expect(hosts.map(({ hostPath }) => hostPath)).toEqual(['/own'])
  })
})
