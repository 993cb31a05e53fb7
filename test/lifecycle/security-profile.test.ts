import { describe, expect, it } from 'vitest'
import { profileRefusal } from '../../src/lifecycle/security-profile.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { securityAllowances, strictestProfile } from '../../src/model/security-profile.ts'

const podWith = (spec: object, container: object = {}): Pod => ({
  spec: { containers: [{ name: 'app', ...container }], ...spec },
})
const refusal = (pod: Pod, profile: Partial<typeof strictestProfile> = {}): string | undefined =>
  profileRefusal(pod, { ...strictestProfile, ...profile }, 'burst')

const asking = {
  hostIPC: podWith({ hostIPC: true }),
  hostNetwork: podWith({ hostNetwork: true }),
  hostPath: podWith({ volumes: [{ name: 'root', hostPath: { path: '/' } }] }),
  hostPID: podWith({ hostPID: true }),
  privileged: podWith({}, { securityContext: { privileged: true } }),
  unconfinedSeccomp: podWith({ securityContext: { seccompProfile: { type: 'Unconfined' } } }),
}

describe('the security profile of a pool', () => {
  it.each(securityAllowances)('refuses %s unless it is allowed', (allowance) => {
    expect(refusal(asking[allowance])).toMatch(
      new RegExp(`^spec\\.\\S+: not allowed in pool "burst" \\(security.allow lacks "${allowance}"\\)$`),
    )
    const others = securityAllowances.filter((other) => other !== allowance)
    expect(refusal(asking[allowance], { allow: others })).toBeDefined()
    expect(refusal(asking[allowance], { allow: [allowance] })).toBeUndefined()
  })

  it('names every field, of init and ephemeral containers, too', () => {
    const privileged = { name: 'a', securityContext: { privileged: true } }
    const pod = podWith({
      hostPID: true,
      initContainers: [privileged],
      ephemeralContainers: [{ ...privileged, securityContext: { capabilities: { add: ['SYS_PTRACE'] } } }],
    })
    expect(refusal(pod)?.split('; ')).toEqual([
      'spec.hostPID: not allowed in pool "burst" (security.allow lacks "hostPID")',
      'spec.initContainers[0].securityContext.privileged: not allowed in pool "burst" (security.allow lacks "privileged")',
      'spec.ephemeralContainers[0].securityContext.capabilities.add[0]: not allowed in pool "burst" (security.capabilities lacks "SYS_PTRACE")',
    ])
  })

  it('lets containers add the usual capabilities, and those that it names', () => {
    const adding = (...add: readonly string[]): Pod =>
      podWith({}, { securityContext: { capabilities: { add } } })
    expect(refusal(adding('CHOWN', 'CAP_NET_BIND_SERVICE'))).toBeUndefined()
    expect(refusal(adding('CAP_NET_ADMIN', 'SYS_TIME'), { capabilities: ['NET_ADMIN'] })).toBe(
      'spec.containers[0].securityContext.capabilities.add[1]: not allowed in pool "burst" (security.capabilities lacks "SYS_TIME")',
    )
    expect(refusal(adding('NET_ADMIN', 'SYS_TIME'), { capabilities: ['ALL'] })).toBeUndefined()
    expect(refusal(adding('ALL'), { capabilities: ['NET_ADMIN'] })).toContain('lacks "ALL"')
  })

  it('has nothing against a Pod that asks for none of it', () => {
    expect(
      refusal(podWith({ securityContext: { seccompProfile: { type: 'RuntimeDefault' } } })),
    ).toBeUndefined()
    expect(refusal({})).toBeUndefined()
  })
})
