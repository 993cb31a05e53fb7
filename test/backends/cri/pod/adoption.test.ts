import { describe, expect, it } from 'vitest'
import { adoptionOf } from '../../../../src/backends/cri/pod/adoption.ts'
import type { PodStatus } from '../../../../src/model/kubernetes.ts'

type ContainerStatus = NonNullable<PodStatus['containerStatuses']>[number]

function status(id: string | undefined, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    name: 'main',
    image: 'busybox',
    imageID: '',
    ready: false,
    restartCount: 0,
    ...(id !== undefined && { containerID: id }),
    ...more,
  }
}

describe('what the API server was last told of a Pod', () => {
  it('is known of containers of every kind, by the runtime’s own id', () => {
    const known = adoptionOf({
      initContainerStatuses: [status('containerd://proxy-0', { started: true, ready: true })],
      containerStatuses: [status('containerd://main-2', { started: true })],
      ephemeralContainerStatuses: [status('cri-o://debug-0')],
    })
    expect([...known]).toEqual([
      ['proxy-0', { started: true, ready: true }],
      ['main-2', { started: true, ready: false }],
      ['debug-0', { started: false, ready: false }],
    ])
  })

  it('is nothing of a container that never ran', () => {
    expect(adoptionOf({ containerStatuses: [status(undefined), status('')] }).size).toBe(0)
  })

  it('is nothing of a Pod without a status', () => {
    expect(adoptionOf(undefined).size).toBe(0)
    expect(adoptionOf({}).size).toBe(0)
  })
})
