import { describe, expect, it } from 'vitest'
import {
  cniInterfacesInInfo,
  cniInterfacesInMetadata,
} from '../../../../src/backends/cri/runtime/cni-interfaces.ts'

const Interfaces = { veth1: { Mac: '02:00:00:00:00:02' }, eth0: { Sandbox: '/run/netns/cni-1' } }
const info = (told: object) => ({ info: JSON.stringify(told) })
const metadata = (told: object, version = 'v1') =>
  cniInterfacesInMetadata(JSON.stringify({ Version: version, Metadata: told }))

describe('the interfaces that CNI plugins tell of', () => {
  it('are read from what the CRI says beyond the status', () => {
    expect(cniInterfacesInInfo(info({ pid: 7, cniResult: { Interfaces } }))).toEqual(Interfaces)
  })

  it.each([
    ['the plugins', info({ cniResult: { Interfaces: null } })],
    ['the runtime', info({ pid: 7 })],
    ['a runtime that has no more to say', {}],
  ])('are none where %s tell of none', (_who, told) => {
    expect(cniInterfacesInInfo(told)).toEqual({})
  })

  it('are read from what containerd keeps', () => {
    expect(metadata({ ID: 'a', CNIResult: { Interfaces, Routes: [] } })).toEqual(Interfaces)
  })

  it('are to be asked for where containerd keeps none, or in another form', () => {
    expect(metadata({ ID: 'a', CNIResult: null })).toBeUndefined()
    expect(metadata({ CNIResult: { Interfaces: null } })).toBeUndefined()
    expect(metadata({ CNIResult: { Interfaces } }, 'v2')).toBeUndefined()
    expect(cniInterfacesInMetadata('{}')).toBeUndefined()
  })
})
