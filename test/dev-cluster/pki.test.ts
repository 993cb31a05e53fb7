import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeKubeconfig } from '../../src/dev-cluster/kubeconfig.ts'
import { CertificateAuthority, openServiceAccountKey } from '../../src/dev-cluster/pki.ts'
import { issueNodeCertificates } from '../../src/dev-cluster/spillway-identity.ts'

const nowMs = Date.now()
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-pki-'))
  await mkdir(join(dir, 'nodes'))
})

afterEach(async () => {
  await rm(dir, { recursive: true })
})

async function pair(files: { certFile: string; keyFile: string }): Promise<{ cert: string; key: string }> {
  return { cert: await readFile(files.certFile, 'utf8'), key: await readFile(files.keyFile, 'utf8') }
}

describe('certificates of a node', () => {
  it('are taken by both sides of a TLS connection, which sees user and group', async () => {
    const ca = await CertificateAuthority.open(dir, 'ca', nowMs)
    const node = await issueNodeCertificates(ca, 'burst-0', '127.0.0.1', nowMs)
    const server = createServer({
      ...(await pair(node.serving)),
      ca: ca.pem,
      requestCert: true,
      rejectUnauthorized: true,
    })
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect({ host: '127.0.0.1', port, ca: ca.pem, ...(await pair(node.client)) })
    const [socket] = await accepted
    expect(socket.authorized).toBe(true)
    expect(socket.getPeerCertificate().subject).toMatchObject({
      O: 'system:nodes',
      CN: 'system:node:burst-0',
    })
    client.destroy()
    socket.destroy()
    server.close()
  })

  it('have the node’s name and address, and run out in a year', async () => {
    const ca = await CertificateAuthority.open(dir, 'ca', nowMs)
    const { serving } = await issueNodeCertificates(ca, 'burst-7', '10.200.1.2', nowMs)
    const certificate = new X509Certificate(await readFile(serving.certFile))
    expect(certificate.subjectAltName).toBe('DNS:burst-7, IP Address:10.200.1.2')
    expect(certificate.validToDate.getTime() - nowMs).toBeGreaterThan(364 * 86_400_000)
    expect((await stat(serving.keyFile)).mode & 0o777).toBe(0o600)
  })
})

describe('an authority', () => {
  it('is the same when it is opened again, and keeps what it signed', async () => {
    const first = await CertificateAuthority.open(dir, 'ca', nowMs)
    const request = { fileName: 'a', commonName: 'a', usages: ['client'] as const }
    const cert = await pair(await first.issue(request, nowMs))
    const second = await CertificateAuthority.open(dir, 'ca', nowMs)
    expect(second.pem).toBe(first.pem)
    expect(await pair(await second.issue(request, nowMs))).toEqual(cert)
    const later = await second.issue({ ...request, fileName: 'b' }, nowMs)
    const signed = new X509Certificate(await readFile(later.certFile))
    expect(signed.checkIssued(new X509Certificate(first.pem))).toBe(true)
  })
})

describe('a kubeconfig', () => {
  it('is readable by its owner only and holds everything inline', async () => {
    const ca = await CertificateAuthority.open(dir, 'ca', nowMs)
    const client = await ca.issue({ fileName: 'admin', commonName: 'admin', usages: ['client'] }, nowMs)
    const path = join(dir, 'kubeconfig')
    await writeKubeconfig(path, { server: 'https://10.200.1.2:6443', name: 'x', caFile: ca.certFile, client })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const { clusters } = JSON.parse(await readFile(path, 'utf8')) as {
      clusters: { cluster: Record<string, string> }[]
    }
    const data = clusters[0]?.cluster['certificate-authority-data'] ?? ''
    expect(Buffer.from(data, 'base64').toString()).toBe(ca.pem)
  })
})

describe('the ServiceAccount key', () => {
  it('is kept, because tokens signed with it are in use', async () => {
    const { keyFile } = await openServiceAccountKey(dir)
    const key = await readFile(keyFile, 'utf8')
    await openServiceAccountKey(dir)
    expect(await readFile(keyFile, 'utf8')).toBe(key)
  })
})
