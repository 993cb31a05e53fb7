import { describe, expect, it } from 'vitest'
import { idMappings, namespacesOf } from '../../../../src/backends/cri/translate/namespaces.ts'
import { aPod } from '../../../support/builders.ts'

describe('the namespaces of a Pod', () => {
  it('are its own, each container with its own processes', () => {
    expect(namespacesOf(aPod())).toEqual({
      network: 'POD',
      pid: 'CONTAINER',
      ipc: 'POD',
      usernsOptions: { mode: 'NODE' },
    })
  })

  it('are shared as the spec says', () => {
    expect(namespacesOf(aPod({ spec: { shareProcessNamespace: true } })).pid).toBe('POD')
    const all = { hostNetwork: true, hostPID: true, hostIPC: true }
    expect(namespacesOf(aPod({ spec: all }))).toMatchObject({ network: 'NODE', pid: 'NODE', ipc: 'NODE' })
  })

  it('let an ephemeral container look into its target, where it does not see more anyway', () => {
    const targetContainerId = 'abc'
    expect(namespacesOf(aPod(), { targetContainerId })).toMatchObject({ pid: 'TARGET', targetId: 'abc' })
    for (const spec of [{ shareProcessNamespace: true }, { hostPID: true }]) {
      expect(namespacesOf(aPod({ spec }), { targetContainerId })).not.toHaveProperty('targetId')
    }
  })

  it('map users and groups alike, from 0 on', () => {
    const mapping = { hostId: 1_879_048_192, containerId: 0, length: 65_536 }
    const range = { firstId: 1_879_048_192, length: 65_536 }
    expect(idMappings(range)).toEqual({ uids: [mapping], gids: [mapping] })
    expect(namespacesOf(aPod(), { userNamespace: range }).usernsOptions).toEqual({
      mode: 'POD',
      uids: [mapping],
      gids: [mapping],
    })
  })
})
