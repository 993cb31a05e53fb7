import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { KubeApi, Resource } from '../kube/api.ts'
import { namespaces, serviceAccounts } from '../kube/resources.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { controllerRights, nodeCertificateRights, type Right } from '../model/controller-rights.ts'
import { kubeconfigWriter, type ControlPlanePki } from './control-plane-pki.ts'
import { ensureObject } from './ensure-object.ts'
import type { CertificateAuthority, CertificateFiles } from './pki.ts'

/** Who Spillway is to the cluster: a ServiceAccount for what spans nodes, and a node user for each virtual node. */
export interface SpillwayIdentity {
  /** Of ServiceAccount `spillway-system/spillway`. */
  readonly kubeconfig: string
  /** By node name: the certificate of user `system:node:<name>`. Serving ones Spillway gets by request. */
  readonly nodes: ReadonlyMap<string, CertificateFiles>
  /** PEM file of the authority that signs them, clients and the API server alike. */
  readonly caFile: string
  /** The certificate of one more node, or again of one that has it. */
  issueNode(nodeName: string): Promise<CertificateFiles>
  /** Writes ServiceAccount and rights into the cluster. */
  publish(client: KubeApi, signal: AbortSignal): Promise<void>
}

export interface NodeCertificates {
  /** User `system:node:<name>`, group `system:nodes`: what NodeRestriction holds to that node's Pods. */
  readonly client: CertificateFiles
  /** For the node's own HTTPS listener, with the node's name and address. */
  readonly serving: CertificateFiles
}

export interface SpillwayIdentityOptions {
  readonly stateDir: string
  readonly clusterName: string
  /** Of the API server and of the nodes, which share one. */
  readonly address: string
  readonly apiServerPort: number
  readonly pki: ControlPlanePki
  readonly virtualNodes: readonly string[]
  readonly nowMs: number
}

/** Makes the files; a second call for the same folder keeps them. */
export async function createSpillwayIdentity(options: SpillwayIdentityOptions): Promise<SpillwayIdentity> {
  const { pki, nowMs } = options
  const dir = join(pki.dir, 'nodes')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // A certificate in place of a token: it is there before the API server answers, it does not run out while the
  // cluster lives, and RBAC cannot tell the difference (a ServiceAccount is a user of this name).
  const client = await pki.authority.issue(
    {
      fileName: 'spillway',
      commonName: `system:serviceaccount:${namespace}:${accountName}`,
      organizations: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
      usages: ['client'],
    },
    nowMs,
  )
  const issueNode = (name: string): Promise<CertificateFiles> => issueNodeClient(pki.authority, name, nowMs)
  const nodes = new Map<string, CertificateFiles>()
  for (const name of options.virtualNodes) nodes.set(name, await issueNode(name))
  return {
    kubeconfig: await kubeconfigWriter(options, pki.authority)('spillway.kubeconfig', client),
    nodes,
    caFile: pki.authority.certFile,
    issueNode,
    publish: publishAccount,
  }
}

/** A kubelet's two certificates. */
export async function issueNodeCertificates(
  authority: CertificateAuthority,
  nodeName: string,
  address: string,
  nowMs: number,
): Promise<NodeCertificates> {
  return {
    client: await issueNodeClient(authority, nodeName, nowMs),
    serving: await authority.issue(
      {
        fileName: `nodes/${nodeName}-serving`,
        commonName: `system:node:${nodeName}`,
        organizations: ['system:nodes'],
        dnsNames: [nodeName],
        ipAddresses: [address],
        usages: ['server'],
      },
      nowMs,
    ),
  }
}

async function issueNodeClient(
  authority: CertificateAuthority,
  nodeName: string,
  nowMs: number,
): Promise<CertificateFiles> {
  const fileName = `nodes/${nodeName}-client`
  const user = { commonName: `system:node:${nodeName}`, organizations: ['system:nodes'] }
  return await authority.issue({ fileName, ...user, usages: ['client'] }, nowMs)
}

const namespace = 'spillway-system'
const accountName = 'spillway'
const roleName = 'spillway'

export interface ClusterRole extends KubeObject {
  readonly rules: readonly Right[]
}

export interface ClusterRoleBinding extends KubeObject {
  readonly roleRef: { readonly apiGroup: string; readonly kind: string; readonly name: string }
  readonly subjects: readonly {
    readonly kind: string
    readonly name: string
    readonly namespace?: string
    readonly apiGroup?: string
  }[]
}

const rbacGroup = 'rbac.authorization.k8s.io'
export const clusterRoles: Resource<ClusterRole> = {
  group: rbacGroup,
  version: 'v1',
  plural: 'clusterroles',
  kind: 'ClusterRole',
  namespaced: false,
}
export const clusterRoleBindings: Resource<ClusterRoleBinding> = {
  group: rbacGroup,
  version: 'v1',
  plural: 'clusterrolebindings',
  kind: 'ClusterRoleBinding',
  namespaced: false,
}

async function publishAccount(client: KubeApi, signal: AbortSignal): Promise<void> {
  await ensureObject(
    client,
    namespaces,
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    signal,
  )
  await ensureObject(
    client,
    serviceAccounts,
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name: accountName } },
    signal,
  )
  const account = { kind: 'ServiceAccount', namespace, name: accountName }
  await ensureClusterRole(client, roleName, controllerRights, account, signal)
  await ensureClusterRole(client, 'spillway-node-certificates', nodeCertificateRights, account, signal)
}

/** A ClusterRole and the binding that gives it to somebody. */
export async function ensureClusterRole(
  client: KubeApi,
  name: string,
  rules: readonly Right[],
  subject: ClusterRoleBinding['subjects'][number],
  signal: AbortSignal,
): Promise<void> {
  const apiVersion = `${rbacGroup}/v1`
  await ensureObject(
    client,
    clusterRoles,
    { apiVersion, kind: 'ClusterRole', metadata: { name }, rules },
    signal,
  )
  const roleRef = { apiGroup: rbacGroup, kind: 'ClusterRole', name }
  await ensureObject(
    client,
    clusterRoleBindings,
    { apiVersion, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects: [subject] },
    signal,
  )
}
