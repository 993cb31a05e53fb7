import { describe, expect, it } from 'vitest'
import { parseCgroupMounts } from '../../src/dev-cluster/cgroups.ts'

describe('cgroup hierarchies in /proc/mounts', () => {
  it('are one on v2', () => {
    expect(
      parseCgroupMounts('proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n'),
    ).toEqual([{ path: '/sys/fs/cgroup', version: 2, controllers: [] }])
  })

  it('are one for each controller on v1, told once though mounted twice, and one more where v1 is hybrid', () => {
    const mounts = `cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0`
    expect(parseCgroupMounts(mounts)).toEqual([
      { path: '/sys/fs/cgroup/cpu,cpuacct', version: 1, controllers: ['cpu', 'cpuacct'] },
      { path: '/sys/fs/cgroup/systemd', version: 1, controllers: [] },
      { path: '/sys/fs/cgroup/unified', version: 2, controllers: [] },
    ])
  })
})
