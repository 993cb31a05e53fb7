import { describe, expect, it } from 'vitest'
import { refuseLateContainer } from '../../../../src/backends/cri/pod/late-container.ts'
import { podFeatures } from '../../../../src/model/capability.ts'
import { strictestProfile } from '../../../../src/model/security-profile.ts'
import { capabilities } from '../../../support/builders.ts'
import { FakePodSources } from '../../../support/pod-sources.ts'

const { node } = new FakePodSources()
const probing = { name: 'debugger', securityContext: { privileged: true } }

describe('a container that comes to a running Pod', () => {
  it('is refused what its backend does not offer', () => {
    const features = new Set(podFeatures.filter((feature) => feature !== 'privileged'))
    expect(() => refuseLateContainer(probing, { capabilities: capabilities({ features }), node })).toThrow(
      'ephemeral container debugger.securityContext.privileged: privileged is not offered here',
    )
  })

  it('is refused what its pool does not allow, and gets it where the pool does', () => {
    const asked = (profile: typeof strictestProfile): void =>
      refuseLateContainer(probing, {
        capabilities: capabilities(),
        node: { ...node, security: { pool: 'burst', profile } },
      })
    expect(() => asked(strictestProfile)).toThrow(
      expect.objectContaining({
        reason: 'CreateContainerConfigError',
        message:
          'ephemeral container debugger.securityContext.privileged: not allowed in pool "burst" (security.allow lacks "privileged")',
      }),
    )
    expect(() => asked({ ...strictestProfile, allow: ['privileged'] })).not.toThrow()
  })
})
