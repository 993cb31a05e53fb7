import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CommandShell } from '../../../../src/backends/cri/command-shell.ts'
import {
  containerMounts,
  type ContainerMountsInput,
} from '../../../../src/backends/cri/volumes/container-mounts.ts'
import type { Container, Volume } from '../../../../src/model/kubernetes.ts'
import { silentLog } from '../../../../src/telemetry/log.ts'
import { containerOf, plainMounts, podOf } from '../fake-sources.ts'

type Mount = NonNullable<Container['volumeMounts']>[number]

const { run } = new CommandShell()
const never = new AbortController().signal
const volumes: readonly Volume[] = [
  { name: 'c', configMap: { name: 'settings' } },
  { name: 'e', emptyDir: {} },
  { name: 'h', hostPath: { path: '/srv/data' } },
  { name: 'i', image: { reference: 'registry.k8s.io/files:1' } },
]
let podDir: string

beforeEach(async () => {
  podDir = await mkdtemp(join(tmpdir(), 'spillway-mounts-'))
  await mkdir(join(podDir, 'volumes/e'), { recursive: true })
})

afterEach(async () => {
  await rm(podDir, { recursive: true })
})

function mountsOf(mounts: readonly Mount[], options: Partial<ContainerMountsInput> = {}) {
  const pod = podOf({ volumes: [...volumes] })
  const container = containerOf({ volumeMounts: [...mounts] })
  return containerMounts({ pod, container, podDir, run, log: silentLog(), ...plainMounts, ...options }, never)
}

async function refusalOf(mount: Partial<Mount>, options: Partial<ContainerMountsInput> = {}) {
  const refused = await mountsOf([{ name: 'e', mountPath: '/e', ...mount }], options).catch(
    (error: unknown) => error,
  )
  expect(refused).toMatchObject({ code: 'Rejected', reason: 'CreateContainerConfigError' })
  return (refused as Error).message
}

describe('the mounts of a container', () => {
  it('lead to the volumes, read-only where nothing may be written', async () => {
    const propagation = 'PROPAGATION_PRIVATE'
    expect(
      await mountsOf([
        { name: 'c', mountPath: '/c' },
        { name: 'e', mountPath: 'e', mountPropagation: 'HostToContainer' },
        { name: 'h', mountPath: '/h', readOnly: true },
      ]),
    ).toEqual([
      { containerPath: '/c', hostPath: join(podDir, 'volumes/c'), readonly: true, propagation },
      {
        containerPath: '/e',
        hostPath: join(podDir, 'volumes/e'),
        readonly: false,
        propagation: 'PROPAGATION_HOST_TO_CONTAINER',
      },
      { containerPath: '/h', hostPath: '/srv/data', readonly: true, propagation },
    ])
  })

  it('of an image name it, and a directory in it', async () => {
    const image = { image: 'sha256:1', userSpecifiedImage: 'files:1', runtimeHandler: '', annotations: {} }
    const [mount] = await mountsOf([{ name: 'i', mountPath: '/i', subPath: 'usr/share' }], {
      images: new Map([['i', image]]),
    })
    expect(mount).toEqual({
      containerPath: '/i',
      hostPath: '',
      readonly: true,
      propagation: 'PROPAGATION_PRIVATE',
      image,
      imageSubPath: 'usr/share',
    })
  })

  it('of a volume that the Pod does not have are refused', async () => {
    expect(await refusalOf({ name: 'x' })).toBe('cannot find volume "x" to mount into container "app"')
  })

  it('do not follow a sub-path out of its volume', async () => {
    await symlink('/etc', join(podDir, 'volumes/e/link'))
    for (const subPath of ['link', 'link/made']) {
      const message = 'failed to prepare subPath for volumeMount "e" of container "app"'
      expect(await refusalOf({ subPath })).toBe(message)
    }
  })

  it('refuse a sub-path that is absolute or steps back, also when a variable makes it so', async () => {
    const environment = new Map([['DIR', '..']])
    const back = "unable to provision SubPath `..`: must not contain '..'"
    expect(await refusalOf({ subPath: '..' })).toBe(back)
    expect(await refusalOf({ subPathExpr: '$(DIR)' }, { environment })).toBe(back)
    expect(await refusalOf({ subPathExpr: '$(DIR)' }, { environment: new Map([['DIR', '/tmp']]) })).toBe(
      'error SubPath `/tmp` must not be an absolute path',
    )
  })

  it('refuse a sub-path whose variables are missing or empty, and name them', async () => {
    const environment = new Map([['EMPTY', '']])
    expect(await refusalOf({ subPathExpr: '$(LATER)/$(EMPTY)/$(LATER)/$$(NOT)' }, { environment })).toBe(
      'missing value for EMPTY, LATER',
    )
  })
})

describe('a read-only mount', () => {
  const readOnly = { name: 'e', mountPath: '/e', readOnly: true }

  it.each([
    ['Disabled', true, undefined],
    ['IfPossible', true, true],
    ['IfPossible', false, undefined],
    ['Enabled', true, true],
  ] as const)('%s, in a runtime that can recurse (%s), recurses: %s', async (mode, supported, expected) => {
    const [mount] = await mountsOf([{ ...readOnly, recursiveReadOnly: mode }], {
      recursiveReadOnly: supported,
    })
    expect(mount?.recursiveReadOnly).toBe(expected)
  })

  it('that has to recurse is refused where the runtime cannot', async () => {
    expect(await refusalOf({ readOnly: true, recursiveReadOnly: 'Enabled' })).toBe(
      'failed to resolve recursive read-only mode: volume "e" requested recursive read-only mode, but it is not supported by the runtime',
    )
  })
})
