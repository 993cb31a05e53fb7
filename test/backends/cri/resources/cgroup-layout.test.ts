import { describe, expect, it } from 'vitest'
import { cgroupLayout } from '../../../../src/backends/cri/resources/cgroup-layout.ts'

const mount = (path: string, type: string, options: string): string =>
  `31 23 0:28 / ${path} rw,relatime - ${type} ${type} ${options}`

describe('how cgroups are mounted', () => {
  it('is one folder per controller in v1, also beside an empty v2', () => {
    const table = [
      mount('/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
      mount('/sys/fs/cgroup/memory', 'cgroup', 'rw,memory'),
      mount('/sys/fs/cgroup/systemd', 'cgroup', 'rw,name=systemd'),
      mount('/sys/fs/cgroup/unified', 'cgroup2', 'rw'),
    ].join('\n')
    const layout = cgroupLayout(table)
    if (layout.version !== 1) throw new Error('not v1')
    expect(layout.controllers.get('cpuacct')).toBe('/sys/fs/cgroup/cpu,cpuacct')
    expect(layout.roots).toHaveLength(4)
  })

  it('is one tree in v2', () => {
    expect(cgroupLayout(mount('/sys/fs/cgroup', 'cgroup2', 'rw'))).toEqual({
      version: 2,
      root: '/sys/fs/cgroup',
    })
  })

  it('is an error when there are none', () => {
    expect(() => cgroupLayout(mount('/', 'ext4', 'rw'))).toThrow('no cgroups')
  })
})
