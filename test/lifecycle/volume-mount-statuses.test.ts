import { expect, it } from 'vitest'
import { volumeMountStatuses } from '../../src/lifecycle/volume-mount-statuses.ts'

const volumeMounts = [
  { name: 'a', mountPath: '/written' },
  { name: 'a', mountPath: '/read', readOnly: true },
  { name: 'a', mountPath: '/deep', readOnly: true, recursiveReadOnly: 'Enabled' },
  { name: 'a', mountPath: '/perhaps', readOnly: true, recursiveReadOnly: 'IfPossible' },
]

it('tells what became of each mount, and of a wish only what is known', () => {
  const modes = (paths?: readonly string[]) =>
    volumeMountStatuses({ volumeMounts }, paths && { recursiveReadOnlyPaths: paths }).map(
      ({ recursiveReadOnly }) => recursiveReadOnly,
    )
  expect(modes()).toEqual([undefined, 'Disabled', 'Enabled', 'Disabled'])
  expect(modes(['/deep', '/perhaps'])).toEqual([undefined, 'Disabled', 'Enabled', 'Enabled'])
})

it('says nothing of a container without mounts', () => {
  expect(volumeMountStatuses({}, undefined)).toEqual([])
})
