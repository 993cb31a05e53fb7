import { describe, expect, it } from 'vitest'
import { containerConfig, plannedContainers, sandboxConfig } from '../../../src/backends/cri/translate.ts'
import { podPaths } from '../../../src/backends/cri/paths.ts'
import { podRef } from '../../../src/model/pod-key.ts'
import type { Pod } from '../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../support/builders.ts'

const owner = { clusterUid: 'cluster-1', instance: 'main' }
const image = { id: 'sha256:abc', repoTags: [], repoDigests: [], size: '1', uid: null, username: '' }
const gib = 2n ** 30n

function translated(pod: Pod) {
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
  })
  const containers = plannedContainers(pod).map((planned) =>
    containerConfig({
      pod,
      ...planned,
      owner,
      attempt: 2,
      image,
      environment: [{ key: 'WHO', value: 'world' }],
      volumeMounts: [
        { containerPath: '/data', hostPath: '/state/v', readonly: true, propagation: 'PROPAGATION_PRIVATE' },
      ],
      etcHosts: '/state/etc-hosts',
      paths,
      machineMemoryBytes: 16n * gib,
    }),
  )
  return { sandbox, containers }
}

describe('a Pod in the words of CRI', () => {
  it('of the plainest kind', async () => {
    const text = JSON.stringify(translated(aPod()), undefined, 2)
    await expect(text).toMatchFileSnapshot('golden/plain-pod.json')
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

  it('leaves /etc/hosts to the user who mounts something there', () => {
    const pod = aPod()
    const [planned] = plannedContainers(pod)
    if (!planned) throw new Error('no container')
    const config = containerConfig({
      pod,
      ...planned,
      owner,
      attempt: 0,
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
      machineMemoryBytes: gib,
    })
    const hosts = config.mounts.filter(({ containerPath }) => containerPath === '/etc/hosts')
    expect(hosts.map(({ hostPath }) => hostPath)).toEqual(['/own'])
  })
})
