import { join } from 'node:path'
import type { Task } from '../control/tasks.ts'
import type { KubeApi } from '../kube/api.ts'
import { ownCertificate } from '../kubelet-api/self-signed.ts'
import { fileCertificate, type ServingCertificate } from '../kubelet-api/serving-certificate.ts'
import { approveCertificates } from '../node/certificates/approve-certificates.ts'
import { keepCertificate, storedCertificate } from '../node/certificates/keep-certificate.ts'
import { kubeletClient, kubeletServing, type CertificatePurpose } from '../node/certificates/purpose.ts'
import { clientSubject, servingSubject } from '../node/certificates/subject.ts'
import { AwaitedCertificate, nodeFile } from '../node/identity.ts'
import type { House } from './house.ts'

type Tasks = Readonly<Record<string, Task>>

/** What a node serves with, by configuration, and what has to run so that it goes on having it. */
export async function servingCertificate(
  { config, world }: House,
  { name, address, api }: { readonly name: string; readonly address: string; readonly api: KubeApi },
  signal: AbortSignal,
): Promise<{ readonly certificate: ServingCertificate; readonly tasks: Tasks }> {
  const { clock, log } = world
  const source = config.nodeApi.servingCertificate
  if (source.kind === 'files') {
    const files = { certFile: nodeFile(source.certificate, name), keyFile: nodeFile(source.key, name) }
    return { certificate: await fileCertificate({ ...files, log }, signal), tasks: {} }
  }
  const own = { nodeName: name, addresses: [address], nowMs: clock.wallMs() }
  if (source.kind === 'self-signed') return { certificate: await ownCertificate(own, undefined), tasks: {} }
  const kept = {
    file: join(config.stateDir, 'pki', `${name}-serving.pem`),
    purpose: kubeletServing,
    subject: servingSubject(name, [address]),
    // As the node: the signer wants the node itself to have asked.
    api,
    ...world,
  }
  const held = await storedCertificate(kept)
  const certificate = await ownCertificate(own, held?.pair)
  const keep: Task = (inner) =>
    keepCertificate({ ...kept, onCertificate: (pair) => certificate.set(pair) }, inner)
  return { certificate, tasks: { 'serving certificate': keep } }
}

/** With identity `csr`: the node's certificate as a client. It is asked for by the controller, whom it has from nobody. */
export function clientCertificate(
  { config, world, cluster }: House,
  name: string,
): { readonly certificate: AwaitedCertificate; readonly tasks: Tasks } {
  const certificate = new AwaitedCertificate()
  if (config.nodeIdentity.kind !== 'csr') return { certificate, tasks: {} }
  const kept = {
    file: join(config.stateDir, 'pki', `${name}-client.pem`),
    purpose: kubeletClient,
    subject: clientSubject(name),
    api: cluster.api,
    onCertificate: certificate.set.bind(certificate),
    ...world,
  }
  const keep: Task = async (inner) => {
    const held = await storedCertificate(kept)
    if (held) certificate.set(held.pair)
    await keepCertificate(kept, inner)
  }
  return { certificate, tasks: { 'client certificate': keep } }
}

/** Approval of what our nodes ask for; none when the configuration has them ask for nothing. `nodes` may change. */
export async function approvalTasks(
  { config, world, cluster }: House,
  nodes: ReadonlyMap<string, readonly string[]>,
  signal: AbortSignal,
): Promise<Tasks> {
  const approve =
    (purpose: CertificatePurpose, controllerUser?: string): Task =>
    (inner) => {
      const rules = { nodes, ...(controllerUser !== undefined && { controllerUser }) }
      return approveCertificates({ api: cluster.api, purpose, rules, ...world }, inner)
    }
  return {
    ...(config.nodeApi.servingCertificate.kind === 'csr' && {
      'approval of serving certificates': approve(kubeletServing),
    }),
    ...(config.nodeIdentity.kind === 'csr' && {
      'approval of client certificates': approve(kubeletClient, await cluster.whoAmI(signal)),
    }),
  }
}
