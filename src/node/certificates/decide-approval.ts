import type { CertificateSigningRequest } from '../../model/kubernetes.ts'
import {
  kubeletClient,
  kubeletServing,
  nodeOfUser,
  nodesGroup,
  nodeUser,
  type CertificatePurpose,
} from './purpose.ts'
import { ipAddress, type StatedSubject } from './subject.ts'

export type Approval =
  | { readonly kind: 'approve'; readonly message: string }
  | { readonly kind: 'deny'; readonly reason: string; readonly message: string }
  /** Not about a node of ours, or settled already: others decide. */
  | { readonly kind: 'leave' }

export interface ApprovalRules {
  /**
   * Our nodes and the addresses that are theirs: by the configuration, never by the Node object, whose addresses its
   * node may write itself.
   */
  readonly nodes: ReadonlyMap<string, readonly string[]>
  /** Who may ask in the name of a node that has no certificate yet. Serving certificates only the node asks for. */
  readonly controllerUser?: string
}

/**
 * Whether a request for a certificate of a node is approved. Everything about a node of ours that is not exactly what
 * our nodes ask for is denied: such a certificate would let its owner be that node. Pure. `stated`: what the request
 * itself says, undefined when it is not readable or not signed with its own key.
 */
export function decideApproval(
  csr: CertificateSigningRequest,
  stated: StatedSubject | undefined,
  rules: ApprovalRules,
): Approval {
  const purpose = [kubeletServing, kubeletClient].find(({ signerName }) => signerName === csr.spec.signerName)
  const isSettled =
    csr.status?.certificate !== undefined ||
    (csr.status?.conditions ?? []).some(({ type }) => ['Approved', 'Denied', 'Failed'].includes(type))
  if (!purpose || isSettled) return { kind: 'leave' }
  const ours = (name: string | undefined): name is string => name !== undefined && rules.nodes.has(name)
  const asking = nodeOfUser(csr.spec.username)
  const named = nodeOfUser(stated?.commonName)
  const node = ours(named) ? named : asking
  if (!ours(node)) return { kind: 'leave' }
  const problem =
    requestorProblem(csr, { node, purpose }, rules) ??
    subjectProblem(stated, node) ??
    usageProblem(csr, purpose) ??
    namesProblem(stated, { node, purpose }, rules)
  return problem
    ? { kind: 'deny', ...problem }
    : { kind: 'approve', message: `${nodeUser(node)} is a virtual node of this Spillway` }
}

interface Problem {
  readonly reason: string
  readonly message: string
}

interface Subject {
  readonly node: string
  readonly purpose: CertificatePurpose
}

function requestorProblem(
  { spec: { username = '', groups = [] } }: CertificateSigningRequest,
  { node, purpose }: Subject,
  { controllerUser }: ApprovalRules,
): Problem | undefined {
  if (username === nodeUser(node) && groups.includes(nodesGroup)) return undefined
  const isFirst = purpose === kubeletClient && controllerUser !== undefined
  if (isFirst && username === controllerUser) return undefined
  const allowed = [`${nodeUser(node)} of group ${nodesGroup}`, ...(isFirst ? [controllerUser] : [])]
  return {
    reason: 'WrongRequestor',
    message: `requested by ${username} of groups ${groups.join(', ')}; allowed: ${allowed.join(', ')}`,
  }
}

function subjectProblem(stated: StatedSubject | undefined, node: string): Problem | undefined {
  if (!stated) {
    return { reason: 'UnreadableRequest', message: 'no PKCS #10 request that is signed with its own key' }
  }
  const { commonName, organizations, otherNames } = stated
  const isNode = commonName === nodeUser(node) && organizations.join() === nodesGroup
  if (isNode && otherNames.length === 0) return undefined
  const found = [`CN=${commonName}`, ...organizations.map((name) => `O=${name}`), ...otherNames]
  return {
    reason: 'WrongSubject',
    message: `the subject is ${found.join(', ')}; allowed: CN=${nodeUser(node)}, O=${nodesGroup}`,
  }
}

function usageProblem(
  { spec: { usages = [] } }: CertificateSigningRequest,
  { usages: wanted }: CertificatePurpose,
): Problem | undefined {
  const isWanted =
    usages.every((usage) => wanted.includes(usage)) && wanted.every((one) => usages.includes(one))
  if (isWanted) return undefined
  return {
    reason: 'WrongUsages',
    message: `the usages are ${usages.join(', ')}; allowed: ${wanted.join(', ')}`,
  }
}

function namesProblem(
  stated: StatedSubject | undefined,
  { node, purpose }: Subject,
  { nodes }: ApprovalRules,
): Problem | undefined {
  const { dnsNames = [], ipAddresses = [] } = stated ?? {}
  const found = [...dnsNames, ...ipAddresses]
  if (purpose === kubeletClient) {
    if (found.length === 0) return undefined
    return { reason: 'WrongNames', message: `a client has no other names; found: ${found.join(', ')}` }
  }
  const addresses = (nodes.get(node) ?? []).map(ipAddress)
  const areOurs =
    dnsNames.every((name) => name === node) && ipAddresses.every((address) => addresses.includes(address))
  if (areOurs && found.length > 0) return undefined
  return {
    reason: 'WrongNames',
    message: `the names are ${found.join(', ') || 'none'}; allowed: ${[node, ...addresses].join(', ')}`,
  }
}
