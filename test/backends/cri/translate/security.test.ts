import { describe, expect, it } from 'vitest'
import {
  containerSecurity,
  sandboxSecurity,
  type ContainerSecurityInput,
} from '../../../../src/backends/cri/translate/security.ts'
import type { Container, PodSpec } from '../../../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../../../support/builders.ts'

type Settings = Container['securityContext']

function securityOf(
  own: Settings,
  ofPod: PodSpec['securityContext'] = {},
  input: Partial<ContainerSecurityInput> = {},
) {
  const container = aContainer({ securityContext: own ?? {} })
  const pod = aPod({ spec: { securityContext: ofPod, containers: [container] } })
  return containerSecurity({ pod, container, image: { uid: null, username: '' }, maskedPaths: [], ...input })
}

describe('who a container runs as', () => {
  it('is said by the container, the Pod, or the image; root when none does', () => {
    const image = { uid: { value: '7' }, username: '' }
    expect(securityOf({ runAsUser: 1 }, { runAsUser: 2 }).runAsUser).toEqual({ value: 1 })
    expect(securityOf({}, { runAsUser: 2 }).runAsUser).toEqual({ value: 2 })
    expect(securityOf({}, {}, { image }).runAsUser).toEqual({ value: '7' })
    expect(securityOf({}, {}, { image: { uid: null, username: 'app' } })).toMatchObject({
      runAsUsername: 'app',
    })
    expect(securityOf({}, { runAsGroup: 3 })).toMatchObject({
      runAsUser: { value: 0 },
      runAsGroup: { value: 3 },
    })
  })

  it('may not be root where the spec forbids it, in the words of kubelet', () => {
    const nonRoot = { runAsNonRoot: true }
    const where = '(pod: "web_default(uid-of-web)", container: main)'
    const named = { uid: null, username: 'app' }
    expect(() => securityOf(nonRoot)).toThrow(
      `container has runAsNonRoot and image will run as root ${where}`,
    )
    expect(() => securityOf({ ...nonRoot, runAsUser: 0 })).toThrow(
      `container's runAsUser breaks non-root policy ${where}`,
    )
    expect(() => securityOf({}, nonRoot, { image: named })).toThrow(
      `container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root ${where}`,
    )
    const tooLarge = { uid: { value: '2147483648' }, username: '' }
    expect(() => securityOf(nonRoot, {}, { image: tooLarge })).toThrow('invalid user id (2147483648)')
    expect(securityOf({ ...nonRoot, runAsUser: 1 }).runAsUser).toEqual({ value: 1 })
    expect(securityOf({ runAsNonRoot: false }, nonRoot).runAsUser).toEqual({ value: 0 })
  })
})

describe('what a container may do', () => {
  it('is nothing special unless it asks', () => {
    expect(securityOf({})).toMatchObject({
      privileged: false,
      noNewPrivs: false,
      readonlyRootfs: false,
      seccomp: { profileType: 'RuntimeDefault' },
    })
    expect(securityOf({ seccompProfile: { type: 'Unconfined' } }).seccomp.profileType).toBe('Unconfined')
    expect(securityOf({ allowPrivilegeEscalation: false }).noNewPrivs).toBe(true)
    expect(securityOf({ allowPrivilegeEscalation: true }).noNewPrivs).toBe(false)
  })

  it('hides what the machine tells, unless it has ids of its own and wants all', () => {
    const extra = ['/sys/devices/system/cpu/cpu0/thermal_throttle']
    const usual = securityOf({}, {}, { maskedPaths: extra })
    expect(usual.maskedPaths).toEqual(expect.arrayContaining(['/proc/kcore', ...extra]))
    expect(usual.readonlyPaths).toContain('/proc/sys')
    const unmasked = securityOf({ procMount: 'Unmasked' }, {}, { maskedPaths: extra })
    expect(unmasked).toMatchObject({ maskedPaths: [], readonlyPaths: [] })
  })

  it('takes profiles from the container before the Pod, and files only from the folder', () => {
    const local = { type: 'Localhost', localhostProfile: 'a/own.json' }
    const options = { seccompProfiles: '/profiles' }
    expect(securityOf({ seccompProfile: local }, {}, options).seccomp).toEqual({
      profileType: 'Localhost',
      localhostRef: '/profiles/a/own.json',
    })
    const both = securityOf(
      { seccompProfile: { type: 'RuntimeDefault' } },
      { seccompProfile: local },
      options,
    )
    expect(both.seccomp).toEqual({ profileType: 'RuntimeDefault' })
    const outside = { type: 'Localhost', localhostProfile: '../shadow' }
    expect(() => securityOf({ seccompProfile: outside }, {}, options)).toThrow('"../shadow" is not offered')
    expect(() => securityOf({ seccompProfile: local })).toThrow('"a/own.json" is not offered')
    const named = { type: 'Localhost', localhostProfile: 'nginx' }
    expect(securityOf({}, { appArmorProfile: named }).apparmor).toEqual({
      profileType: 'Localhost',
      localhostRef: 'nginx',
    })
  })
})

describe('the AppArmor profile of a container', () => {
  it('is its own, else that of its annotation, else the Pod’s', () => {
    const annotated = (value: string) => ({ 'container.apparmor.security.beta.kubernetes.io/main': value })
    const profileOf = (own: object, value: string): unknown => {
      const pod = aPod({ spec: { securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } } })
      pod.metadata = { ...pod.metadata, annotations: annotated(value) }
      return containerSecurity({
        pod,
        container: aContainer({ securityContext: own }),
        image: { uid: null, username: '' },
        maskedPaths: [],
      }).apparmor
    }
    const named = { appArmorProfile: { type: 'Localhost', localhostProfile: 'own' } }
    expect(profileOf(named, 'unconfined')).toEqual({ profileType: 'Localhost', localhostRef: 'own' })
    expect(profileOf({}, 'localhost/nginx')).toEqual({ profileType: 'Localhost', localhostRef: 'nginx' })
    expect(profileOf({}, 'unconfined')).toEqual({ profileType: 'Unconfined' })
    expect(profileOf({}, 'runtime/default')).toEqual({ profileType: 'RuntimeDefault' })
    expect(profileOf({}, 'no such form')).toEqual({ profileType: 'RuntimeDefault' })
  })
})

describe('a sandbox', () => {
  it('is privileged as soon as one container is, whichever', () => {
    const privileged = aContainer({ name: 'setup', securityContext: { privileged: true } })
    expect(sandboxSecurity(aPod()).privileged).toBe(false)
    expect(sandboxSecurity(aPod({ spec: { initContainers: [privileged] } })).privileged).toBe(true)
  })

  it('has the tighter profile always', () => {
    const securityContext = { seccompProfile: { type: 'Unconfined' } }
    expect(sandboxSecurity(aPod({ spec: { securityContext } })).seccomp).toEqual({
      profileType: 'RuntimeDefault',
    })
  })
})
