import { describe, expect, it } from 'vitest'
import { logUnavailable } from '../../src/kubelet-api/log-unavailable.ts'

describe('logUnavailable', () => {
  const waiting = (reason: string) => ({
    metadata: { name: 'web' },
    status: {
      containerStatuses: [
        {
          name: 'app',
          image: 'x',
          imageID: '',
          ready: false,
          restartCount: 0,
          state: { waiting: { reason } },
        },
      ],
    },
  })
  const of = (reason: string, previous = false) =>
    logUnavailable(waiting(reason), { container: 'app', previous })

  it('says in the words of kubelet what a container waits for', () => {
    expect(of('ContainerCreating')).toBe(
      'container "app" in pod "web" is waiting to start: ContainerCreating',
    )
    expect(of('ErrImagePull')).toBe(`container "app" in pod "web" is waiting to start: image can't be pulled`)
    expect(of('Running', true)).toBe('previous terminated container "app" in pod "web" not found')
    expect(logUnavailable({ metadata: { name: 'web' } }, { container: 'app', previous: false })).toBe(
      'container "app" in pod "web" is not available',
    )
  })
})
