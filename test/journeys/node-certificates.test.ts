import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { runApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'
import { findFreePorts } from '../../src/dev-cluster/free-ports.ts'
import { clusterRoleBindings, clusterRoles } from '../../src/dev-cluster/spillway-identity.ts'
import { startNodeApi } from '../../src/kubelet-api/node-api.ts'
import { ownCertificate } from '../../src/kubelet-api/self-signed.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { ensureObject } from '../../src/dev-cluster/ensure-object.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { certificateSigningRequests, nodes, pods } from '../../src/kube/resources.ts'
import { systemClock, type Clock } from '../../src/model/clock.ts'
import type { CertificateSigningRequest, KubeObject } from '../../src/model/kubernetes.ts'
import { readPair } from '../../src/kube/certificate-file.ts'
import { keepCertificate } from '../../src/node/certificates/keep-certificate.ts'
import { kubeletServing } from '../../src/node/certificates/purpose.ts'
import { newSigningRequest } from '../../src/node/certificates/signing-request.ts'
import { servingSubject } from '../../src/node/certificates/subject.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'
import { nodeApiOptions } from '../support/node-api.ts'

// Real: the API server that checks, the controller-manager that signs, NodeRestriction, RBAC.
const ending = new AbortController()
const { signal } = ending
const world = { clock: systemClock, log: silentLog(), random: Math.random, environment: process.env }

let plane: TestControlPlane
let admin: KubeApi & { close(): Promise<void> }
let node: KubeApi & { close(): Promise<void> }
let folder: string
let app: Promise<void>

beforeAll(async () => {
  plane = await startTestControlPlane()
  const { spillway } = plane.controlPlane
  admin = clientOf(plane.controlPlane.admin)
  await spillway.publish(admin, signal)
  await applyDeploy('node-certificates.yaml')
  folder = mkdtempSync(join(tmpdir(), 'sw-'))
  const [firstPort = 0] = await findFreePorts(1)
  const file = join(folder, 'spillway.yaml')
  writeFileSync(
    file,
    stringify({
      clusterName: 'certificates',
      kubeconfig: spillway.kubeconfig,
      state: folder,
      run: folder,
      nodeApi: { address: '127.0.0.1', firstPort, clientCa: spillway.caFile },
      nodeIdentity: 'csr',
      backends: [{ name: 'local', kind: 'simulator' }],
      pools: [{ name: 'burst', backend: 'local' }],
    }),
  )
  app = runApp(loadConfig({ file, flags: {}, environment: {} }), world, signal)
  await until('the node is ready', async () => {
    const { items } = await admin.list(nodes, {}, signal)
    return items.some(
      ({ metadata, status }) =>
        metadata?.name === 'burst-0' &&
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
    )
  })
  const clientFile = join(folder, 'pki/burst-0-client.pem')
  // The controller makes the Node; it is the node's own that its certificate lets in.
  await until('the node has its certificate', async () => (await readPair(clientFile)) !== undefined)
  const pair = await readPair(clientFile)
  if (!pair) throw new Error('the node has no certificate')
  node = clientOf({ ...plane.controlPlane.admin, ...pair })
})

afterAll(async () => {
  ending.abort()
  await app
  await node?.close()
  await admin?.close()
  await plane?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

describe('a node’s own certificates', () => {
  test('are signed by the cluster: the API server, which checks, reaches the node', async () => {
    const spec = { nodeName: 'burst-0', tolerations: [{ operator: 'Exists' }], containers: [aContainer()] }
    await admin.create(pods, aPod({ name: 'web', spec }), signal)
    // By its log: the server's proxy to nodes goes to no address of the loopback.
    await until('the API server reaches the node', async () => {
      const path = '/api/v1/namespaces/default/pods/web/log'
      return (await admin.getText(path, signal).catch(() => undefined)) !== undefined
    })
    expect(statSync(join(folder, 'pki/burst-0-serving.pem')).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'pki/burst-0-client.pem')).mode & 0o777).toBe(0o600)
  })

  test('were asked for by the node itself, but for the first, and approved by Spillway', async () => {
    const { items } = await admin.list(certificateSigningRequests, {}, signal)
    const told = items.map(({ spec, status }) => ({
      signer: spec.signerName,
      user: spec.username,
      condition: status?.conditions?.map(({ type, reason }) => `${type}: ${reason}`).join(),
    }))
    expect(told).toEqual(
      expect.arrayContaining([
        {
          signer: 'kubernetes.io/kubelet-serving',
          user: 'system:node:burst-0',
          condition: 'Approved: SpillwayNode',
        },
        {
          signer: 'kubernetes.io/kube-apiserver-client-kubelet',
          user: 'system:serviceaccount:spillway-system:spillway',
          condition: 'Approved: SpillwayNode',
        },
      ]),
    )
  })

  test('are renewed without touching connections that are open', async () => {
    let aheadMs = 0
    const clock: Clock = {
      ...systemClock,
      wallMs: () => systemClock.wallMs() + aheadMs,
      sleep: (durationMs, inner) => systemClock.sleep(Math.min(durationMs, 100), inner),
    }
    const subject = { nodeName: 'burst-0', addresses: ['127.0.0.1'], nowMs: clock.wallMs() }
    const certificate = await ownCertificate(subject, undefined)
    const { port } = await startNodeApi(nodeApiOptions({ certificate, clock }), signal)
    let renewals = 0
    const stopKeeping = new AbortController()
    const keeping = keepCertificate(
      {
        file: join(folder, 'second.pem'),
        purpose: kubeletServing,
        subject: servingSubject('burst-0', ['127.0.0.1']),
        api: node,
        onCertificate: (pair) => {
          certificate.set(pair)
          renewals += 1
        },
        ...world,
        clock,
      },
      AbortSignal.any([signal, stopKeeping.signal]),
    )
    await until('the first is signed', () => renewals === 1)
    const before = await handshake(port)
    aheadMs = 0.95 * 365 * 24 * 3_600_000
    await until('it is renewed', () => renewals === 2)
    const after = await handshake(port)
    expect(serialOf(after)).not.toBe(serialOf(before))
    expect(await statusOver(before)).toContain('401')
    expect(await statusOver(after)).toContain('401')
    for (const socket of [before, after]) socket.destroy()
    stopKeeping.abort()
    await keeping.catch((error: unknown) => expect(stopKeeping.signal.reason).toBe(error))
  })
})

describe('what others ask in a node’s name', () => {
  test('is denied with the reason, whoever they are', async () => {
    const { request } = await newSigningRequest(servingSubject('burst-0', ['127.0.0.1']))
    const name = await ask(admin, request)
    await expectDenial(name, 'WrongRequestor', /allowed: system:node:burst-0/)
  })

  test('is denied even to the node when it wants more than it is', async () => {
    const { request } = await newSigningRequest(servingSubject('burst-0', ['127.0.0.1', '10.96.0.1']))
    await expectDenial(await ask(node, request), 'WrongNames', /10\.96\.0\.1/)
  })

  test('is left to others when it is about a node of theirs', async () => {
    const { request } = await newSigningRequest(servingSubject('server-0', ['127.0.0.1']))
    const name = await ask(admin, request)
    const { request: ours } = await newSigningRequest(servingSubject('burst-0', ['127.0.0.1']))
    // The one that came later has been judged: so was this one.
    await expectDenial(await ask(admin, ours), 'WrongRequestor', /./)
    const { status } = await admin.get(certificateSigningRequests, { name }, signal)
    expect(status?.conditions ?? []).toEqual([])
  })
})

async function ask(api: KubeApi, request: string): Promise<string> {
  const { signerName, usages } = kubeletServing
  const csr: CertificateSigningRequest = {
    metadata: { generateName: 'test-' },
    spec: { request: Buffer.from(request).toString('base64'), signerName, usages: [...usages] },
  }
  const created = await api.create(certificateSigningRequests, csr, signal)
  return created.metadata?.name ?? ''
}

async function expectDenial(name: string, reason: string, message: RegExp): Promise<void> {
  let csr: CertificateSigningRequest | undefined
  await until(`${name} is judged`, async () => {
    csr = await admin.get(certificateSigningRequests, { name }, signal)
    return (csr.status?.conditions ?? []).length > 0
  })
  const denied = { type: 'Denied', status: 'True', reason, message: expect.stringMatching(message) }
  expect(csr?.status?.conditions).toMatchObject([denied])
  expect(csr?.status?.certificate).toBeUndefined()
}

function clientOf(credentials: Parameters<typeof explicitCredentials>[0]) {
  return createKubeClient({
    ...world,
    credentials: explicitCredentials(credentials),
    userAgent: 'journey',
  })
}

/** A connection to the node API on loopback, whose certificate the cluster's authority has signed. */
async function handshake(port: number): Promise<TLSSocket> {
  const { ca } = plane.controlPlane.admin
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca, allowPartialTrustChain: true }, () =>
      resolve(socket),
    )
    socket.on('error', reject)
  })
}

function serialOf(socket: TLSSocket): string {
  return socket.getPeerCertificate().serialNumber
}

async function statusOver(socket: TLSSocket): Promise<string> {
  socket.write('GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n')
  return await new Promise((resolve) => socket.once('data', (chunk: Buffer) => resolve(chunk.toString())))
}

async function applyDeploy(file: string): Promise<void> {
  const text = readFileSync(join(import.meta.dirname, '../../deploy', file), 'utf8')
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubeObject
    const resource = object.kind === 'ClusterRole' ? clusterRoles : clusterRoleBindings
    await ensureObject(admin, resource, object, signal)
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!(await holds())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited a minute in vain: ${what}`)
    await systemClock.sleep(50, signal)
  }
}
