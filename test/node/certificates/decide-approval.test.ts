import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CertificateSigningRequest } from '../../../src/model/kubernetes.ts'
import { decideApproval, type ApprovalRules } from '../../../src/node/certificates/decide-approval.ts'
import {
  kubeletClient,
  kubeletServing,
  type CertificatePurpose,
} from '../../../src/node/certificates/purpose.ts'
import { clientSubject, servingSubject, type StatedSubject } from '../../../src/node/certificates/subject.ts'

const controllerUser = 'system:serviceaccount:spillway-system:spillway'
const rules: ApprovalRules = {
  nodes: new Map([
    ['burst-0', ['10.0.0.5', 'fd00::5']],
    ['burst-1', ['10.0.0.5']],
  ]),
  controllerUser,
}

interface Asked {
  readonly purpose: CertificatePurpose
  readonly username: string
  readonly groups: readonly string[]
  readonly usages: readonly string[]
  readonly stated: StatedSubject | undefined
}

const serving: Asked = {
  purpose: kubeletServing,
  username: 'system:node:burst-0',
  groups: ['system:nodes', 'system:authenticated'],
  usages: ['server auth', 'digital signature'],
  stated: { ...servingSubject('burst-0', ['10.0.0.5']), otherNames: [] },
}

const client: Asked = {
  ...serving,
  purpose: kubeletClient,
  usages: ['digital signature', 'client auth'],
  stated: { ...clientSubject('burst-0'), otherNames: [] },
}

function csrOf({ purpose, username, groups, usages }: Asked): CertificateSigningRequest {
  const { signerName } = purpose
  return { spec: { request: '', signerName, username, groups: [...groups], usages: [...usages] } }
}

const decide = (asked: Asked) => decideApproval(csrOf(asked), asked.stated, rules)

function stating(asked: Asked, more: Partial<StatedSubject>): Asked {
  return { ...asked, stated: asked.stated && { ...asked.stated, ...more } }
}

describe('what is approved', () => {
  it('is what a node of ours asks for itself', () => {
    expect(decide(serving)).toMatchObject({ kind: 'approve' })
    expect(decide(client)).toMatchObject({ kind: 'approve' })
    const ipv6 = { ...servingSubject('burst-0', ['fd00:0::5']), otherNames: [] }
    expect(decide({ ...serving, stated: ipv6 })).toMatchObject({ kind: 'approve' })
  })

  it('is a node’s first client certificate, which the controller asks for', () => {
    const first = { ...client, username: controllerUser, groups: ['system:serviceaccounts'] }
    expect(decide(first)).toMatchObject({ kind: 'approve' })
    const { controllerUser: _, ...without } = rules
    expect(decideApproval(csrOf(first), first.stated, without)).toMatchObject({ kind: 'deny' })
  })
})

describe('what is denied', () => {
  it.each<[string, string, Asked]>([
    ['another node', 'WrongRequestor', { ...serving, username: 'system:node:burst-1' }],
    ['a server', 'WrongRequestor', { ...serving, username: 'system:node:server-0' }],
    ['somebody else', 'WrongRequestor', { ...serving, username: 'bob' }],
    ['the controller, for serving', 'WrongRequestor', { ...serving, username: controllerUser }],
    ['the node without its group', 'WrongRequestor', { ...serving, groups: ['system:authenticated'] }],
    ['what is unreadable', 'UnreadableRequest', { ...serving, stated: undefined }],
    ['another name', 'WrongSubject', stating(serving, { commonName: 'system:node:server-0' })],
    ['more groups', 'WrongSubject', stating(serving, { organizations: ['system:nodes', 'system:masters'] })],
    ['no group', 'WrongSubject', stating(serving, { organizations: [] })],
    ['an e-mail address', 'WrongSubject', stating(serving, { otherNames: ['email'] })],
    ['a client’s usage', 'WrongUsages', { ...serving, usages: [...serving.usages, 'client auth'] }],
    ['too few usages', 'WrongUsages', { ...serving, usages: ['server auth'] }],
    ['a server’s usage for a client', 'WrongUsages', { ...client, usages: serving.usages }],
    ['a foreign address', 'WrongNames', stating(serving, { ipAddresses: ['10.0.0.5', '10.0.0.6'] })],
    ['a foreign DNS name', 'WrongNames', stating(serving, { dnsNames: ['burst-0', 'kubernetes.default'] })],
    ['its neighbour’s name', 'WrongNames', stating(serving, { dnsNames: ['burst-1'] })],
    ['no name at all', 'WrongNames', stating(serving, { dnsNames: [], ipAddresses: [] })],
    ['a client with an address', 'WrongNames', stating(client, { ipAddresses: ['10.0.0.5'] })],
  ])('is %s, as %s', (_what, reason, asked) => {
    const approval = decide(asked)
    expect(approval).toMatchObject({ kind: 'deny', reason })
    // Found and allowed, or why there is nothing to be found.
    expect(approval.kind === 'deny' && approval.message).toMatch(/allowed: |no PKCS|found: /)
  })
})

describe('what is left to others', () => {
  it('is what is not about a node of ours, for another signer, or settled', () => {
    const server = stating(
      { ...serving, username: 'system:node:server-0' },
      { commonName: 'system:node:server-0' },
    )
    expect(decide(server)).toEqual({ kind: 'leave' })
    const purpose = { ...kubeletServing, signerName: 'example.com/own' }
    expect(decide({ ...serving, purpose })).toEqual({ kind: 'leave' })
    for (const type of ['Approved', 'Denied', 'Failed']) {
      const csr = { ...csrOf(serving), status: { conditions: [{ type, status: 'True' }] } }
      expect(decideApproval(csr, serving.stated, rules)).toEqual({ kind: 'leave' })
    }
    const signed = { ...csrOf(serving), status: { certificate: 'abc' } }
    expect(decideApproval(signed, serving.stated, rules)).toEqual({ kind: 'leave' })
  })
})

describe('whatever is asked', () => {
  const words = fc.constantFrom(
    'system:node:burst-0',
    'system:node:burst-1',
    'system:node:server-0',
    'system:node:',
    controllerUser,
    'system:nodes',
    'system:masters',
    'burst-0',
    'burst-1',
    'kubernetes',
    '10.0.0.5',
    '10.0.0.9',
    'fd00::5',
    'digital signature',
    'server auth',
    'client auth',
    'cert sign',
    '',
  )
  const list = fc.array(words, { maxLength: 3 })
  const asked = fc.record({
    purpose: fc.constantFrom(kubeletServing, kubeletClient),
    username: words,
    groups: fc.oneof(list, fc.constant(['system:nodes'])),
    usages: fc.oneof(list, fc.constant([...kubeletServing.usages]), fc.constant([...kubeletClient.usages])),
    stated: fc.option(
      fc.record({
        commonName: words,
        organizations: fc.oneof(list, fc.constant(['system:nodes'])),
        dnsNames: list,
        ipAddresses: list,
        otherNames: fc.array(fc.constant('url'), { maxLength: 1 }),
      }),
      { nil: undefined },
    ),
  })

  it('a certificate is only ever approved that makes nobody anything but that node', () => {
    fc.assert(
      fc.property(asked, (one) => {
        if (decide(one).kind !== 'approve') return
        const { stated, username, usages, purpose } = one
        const node = stated?.commonName.replace('system:node:', '') ?? ''
        expect([...rules.nodes.keys()]).toContain(node)
        expect(stated?.organizations).toEqual(['system:nodes'])
        expect(stated?.otherNames).toEqual([])
        expect(new Set(usages)).toEqual(new Set(purpose.usages))
        const names = [...(stated?.dnsNames ?? []), ...(stated?.ipAddresses ?? [])]
        const own = purpose === kubeletServing ? [node, ...(rules.nodes.get(node) ?? [])] : []
        expect(own).toEqual(expect.arrayContaining(names))
        const askers = [`system:node:${node}`, ...(purpose === kubeletClient ? [controllerUser] : [])]
        expect(askers).toContain(username)
      }),
      { numRuns: 2_000 },
    )
  })

  it('one about none of our nodes is never touched', () => {
    fc.assert(
      fc.property(asked, (one) => {
        const users = [one.username, one.stated?.commonName ?? '']
        const ours = users.some((user) => user === 'system:node:burst-0' || user === 'system:node:burst-1')
        expect(decide(one).kind === 'leave').toBe(!ours)
      }),
    )
  })
})
