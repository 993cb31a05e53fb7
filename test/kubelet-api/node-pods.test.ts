import { describe, expect, it } from 'vitest'
import { identityIn, type NodePods } from '../../src/kubelet-api/node-pods.ts'
import type { ContainerStatus } from '../../src/model/kubernetes.ts'
import { aPod } from '../support/builders.ts'

const status = (name: string, containerID?: string): ContainerStatus => {
  const nothing = { imageID: '', ready: true, restartCount: 0 }
  return { name, image: `docker.io/library/${name}:1`, ...(containerID && { containerID }), ...nothing }
}
const pod = aPod({
  status: {
    containerStatuses: [status('main', 'containerd://abc')],
    initContainerStatuses: [status('proxy', 'containerd://def')],
    ephemeralContainerStatuses: [status('debugger')],
  },
})
const pods: NodePods = {
  find: (namespace, name) => (`${namespace}/${name}` === 'default/web' ? pod : undefined),
  list: () => [pod],
}

describe('which container of the runtime one is', () => {
  const web = { namespace: 'default', name: 'web', uid: 'uid-of-web' }

  it.each([
    ['main', { image: 'docker.io/library/main:1', id: 'abc' }],
    ['proxy', { image: 'docker.io/library/proxy:1', id: 'def' }],
    ['debugger', { image: 'docker.io/library/debugger:1', id: '' }],
    ['other', { image: '', id: '' }],
  ])('is in the status of its Pod: %s', (container, identity) =>
    expect(identityIn(pods, web, container)).toEqual(identity),
  )

  it('is not in that of another Pod of the same name', () => {
    expect(identityIn(pods, { ...web, uid: 'another' }, 'main')).toEqual({ image: '', id: '' })
    expect(identityIn(pods, { ...web, name: 'gone' }, 'main')).toEqual({ image: '', id: '' })
  })
})
