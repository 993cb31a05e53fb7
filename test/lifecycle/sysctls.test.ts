import { describe, expect, it } from 'vitest'
import { dottedSysctl, safeSysctls, sysctlNamespace, sysctlRefusal } from '../../src/lifecycle/sysctls.ts'
import type { PodSpec } from '../../src/model/kubernetes.ts'
import { aPod } from '../support/builders.ts'

function refusalOf(name: string, allowed: readonly string[], spec: Partial<PodSpec> = {}) {
  return sysctlRefusal(
    aPod({ spec: { ...spec, securityContext: { sysctls: [{ name, value: '1' }] } } }),
    allowed,
  )
}

describe('kernel parameters of Pods', () => {
  it('are safe by name and from the kernel on that gives each Pod its own', () => {
    expect(safeSysctls('6.18.44-fc')).toContain('net.ipv4.tcp_rmem')
    expect(safeSysctls('4.14.0')).not.toContain('net.ipv4.tcp_rmem')
    expect(safeSysctls('4.14.0')).toContain('net.ipv4.tcp_fin_timeout')
    expect(safeSysctls('unknown')).toEqual([
      'kernel.shm_rmid_forced',
      'net.ipv4.ip_local_port_range',
      'net.ipv4.tcp_syncookies',
      'net.ipv4.ping_group_range',
      'net.ipv4.ip_unprivileged_port_start',
    ])
  })

  it('may be written with slashes, which then stand for dots and dots for slashes', () => {
    expect(dottedSysctl('kernel/shm_rmid_forced')).toBe('kernel.shm_rmid_forced')
    expect(dottedSysctl('net/ipv4/conf/eno2.100/rp_filter')).toBe('net.ipv4.conf.eno2/100.rp_filter')
    expect(dottedSysctl('net.ipv4.conf.eno2/100.rp_filter')).toBe('net.ipv4.conf.eno2/100.rp_filter')
  })

  it('belong to a namespace, or to the machine', () => {
    expect(sysctlNamespace('net/core/somaxconn')).toBe('Net')
    expect(sysctlNamespace('kernel.msg*')).toBe('IPC')
    expect(sysctlNamespace('fs.mqueue.msg_max')).toBe('IPC')
    expect(sysctlNamespace('kernel.panic')).toBeUndefined()
    expect(sysctlNamespace('*')).toBeUndefined()
  })

  it('are allowed by name or by beginning', () => {
    expect(refusalOf('kernel/msgmax', ['kernel.msg*'])).toBeUndefined()
    expect(refusalOf('net.core.somaxconn', ['net/core.somaxconn'])).toBe(
      'forbidden sysctl: "net.core.somaxconn" not allowlisted',
    )
    expect(refusalOf('kernel.msgmax', [])).toBe('forbidden sysctl: "kernel.msgmax" not allowlisted')
  })

  it('are forbidden where the Pod shares that namespace with the machine', () => {
    const allowed = ['kernel.shm_rmid_forced', 'net.*', 'user.*']
    expect(refusalOf('kernel.shm_rmid_forced', allowed, { hostIPC: true })).toBe(
      'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled',
    )
    expect(refusalOf('net.core.somaxconn', allowed, { hostNetwork: true })).toBe(
      'forbidden sysctl: "net.core.somaxconn" not allowed with host Net enabled',
    )
    expect(refusalOf('user.max_user_namespaces', allowed)).toMatch('host User enabled')
    expect(refusalOf('user.max_user_namespaces', allowed, { hostUsers: false })).toBeUndefined()
  })
})
