import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { CertificateAuthority } from '../../src/dev-cluster/pki.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials, inClusterCredentials, type Credentials } from '../../src/kube/credentials.ts'
import { loadKubeconfig, type KubeconfigOptions } from '../../src/kube/kubeconfig.ts'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { answerJson, startHttpServer, type TestServer } from '../support/http-server.ts'

const never = new AbortController().signal
let dir: string
let clock: FakeClock

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-credentials-'))
  clock = new FakeClock()
})

afterEach(async () => {
  await rm(dir, { recursive: true, force: true })
})

async function kubeconfig(
  user: object,
  cluster: object = {},
  options: Partial<KubeconfigOptions> = {},
): Promise<Credentials> {
  const path = join(dir, 'kubeconfig')
  const content = {
    'current-context': 'main',
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
  }
  await writeFile(path, stringify(content))
  return loadKubeconfig({ path, environment: { PATH: process.env['PATH'] }, clock, ...options }, never)
}

async function headersOf(credentials: Credentials): Promise<object> {
  return (await credentials.identity(never)).headers
}

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('a kubeconfig', () => {
  it('gives server, authority and client certificate, inline or from files beside it', async () => {
    await writeFile(join(dir, 'client.crt'), pem)
    const credentials = await kubeconfig(
      { 'client-certificate': 'client.crt', 'client-key-data': base64(pem) },
      { 'certificate-authority-data': base64(pem), 'tls-server-name': 'kubernetes' },
    )
    expect(credentials).toMatchObject({
      server: 'https://10.0.0.1:6443',
      ca: pem,
      insecureSkipTlsVerify: false,
      tlsServerName: 'kubernetes',
    })
    expect(await credentials.identity(never)).toEqual({ headers: {}, certificate: { cert: pem, key: pem } })
  })

  it('gives tokens, passwords and impersonation', async () => {
    expect(await headersOf(await kubeconfig({ token: 't' }))).toEqual({ authorization: 'Bearer t' })
    expect(await headersOf(await kubeconfig({ username: 'u', password: 'p' }))).toEqual({
      authorization: `Basic ${base64('u:p')}`,
    })
    expect(await headersOf(await kubeconfig({ token: 't', as: 'jane', 'as-groups': ['dev'] }))).toEqual({
      authorization: 'Bearer t',
      'impersonate-user': 'jane',
      'impersonate-group': ['dev'],
    })
    const impersonate = { user: 'system:node:burst-0', groups: ['system:nodes'] }
    expect(await headersOf(await kubeconfig({ as: 'jane' }, {}, { impersonate }))).toEqual({
      'impersonate-user': 'system:node:burst-0',
      'impersonate-group': ['system:nodes'],
    })
  })

  it('reads a token file again after a minute, or at once when the token was refused', async () => {
    const file = join(dir, 'token')
    await writeFile(file, 'first\n')
    const credentials = await kubeconfig({ tokenFile: 'token', token: 'ignored' })
    await writeFile(file, 'second')
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer first' })
    await clock.advance(60_000)
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer second' })
    await writeFile(file, 'third')
    credentials.refused()
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer third' })
    await rm(file)
    credentials.refused()
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer third' })
  })

  it.each([
    [
      {},
      { server: 'ftp://x' },
      'clusters[0].cluster.server: "ftp://x" is not an http:// or https:// address',
    ],
    [{}, { 'proxy-url': 'http://p' }, 'clusters[0].cluster.proxy-url is not supported'],
    [{}, { 'certificate-authority-data': 'xx' }, 'certificate-authority-data is not base64 of PEM'],
    [
      {},
      { 'certificate-authority': 'none.crt' },
      'none.crt (clusters[0].cluster.certificate-authority) cannot be read',
    ],
    [{}, { 'insecure-skip-tls-verify': 'yes' }, 'insecure-skip-tls-verify is "yes", wanted is true or false'],
    [{ 'client-key-data': base64(pem) }, {}, 'users[0].user.client-certificate is missing beside client-key'],
    [{ token: 7 }, {}, 'users[0].user.token is a number, wanted is a text'],
    [{ 'auth-provider': { name: 'gcp' } }, {}, 'users[0].user.auth-provider is not supported'],
    [{ exec: { apiVersion: 'v9', command: 'x' } }, {}, 'users[0].user.exec.apiVersion is "v9", allowed are'],
  ])('names file and field when %j, %j is wrong', async (user, cluster, message) => {
    const loading = kubeconfig(user, cluster)
    await expect(loading).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining(message) as string,
    })
    await expect(loading).rejects.toThrow(dir)
  })

  it('does not quote in its errors what may be secret', async () => {
    await expect(kubeconfig({ username: 'u', password: 73217321 })).rejects.toThrow(
      /: users\[0\]\.user\.password is a number, wanted is a text$/,
    )
    const path = join(dir, 'kubeconfig')
    await writeFile(path, 'users:\n- token: "planted-secret" rest\n')
    await expect(loadKubeconfig({ path, environment: {}, clock }, never)).rejects.toThrow(
      /: not YAML \(UNEXPECTED_TOKEN at line 2, column \d+\)$/,
    )
  })

  it('lists the contexts there are when the one wanted is not', async () => {
    await expect(kubeconfig({}, {}, { context: 'other' })).rejects.toThrow(
      `${join(dir, 'kubeconfig')}: contexts has no entry named "other" (there are: main)`,
    )
  })
})

describe('an exec plugin', () => {
  /** Prints the credential and counts its runs in a file. */
  async function plugin(status: object, apiVersion = 'client.authentication.k8s.io/v1'): Promise<object> {
    const output = JSON.stringify({ kind: 'ExecCredential', apiVersion, status })
    await writeFile(
      join(dir, 'plugin.sh'),
      `#!/bin/sh\necho "$1 $EXTRA $KUBERNETES_EXEC_INFO" >> '${dir}/runs'\ncat <<'END'\n${output}\nEND\n`,
    )
    await chmod(join(dir, 'plugin.sh'), 0o755)
    return {
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: './plugin.sh',
        args: ['get-token'],
        env: [{ name: 'EXTRA', value: 'more' }],
        interactiveMode: 'Never',
        provideClusterInfo: true,
      },
    }
  }

  async function runs(): Promise<string[]> {
    return (await readFile(join(dir, 'runs'), 'utf8')).trimEnd().split('\n')
  }

  it('is run once until its credential expires or is refused', async () => {
    const user = await plugin({ token: 't', expirationTimestamp: '2026-01-01T01:00:00Z' })
    const credentials = await kubeconfig(user)
    await Promise.all([headersOf(credentials), headersOf(credentials)])
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer t' })
    expect(await runs()).toHaveLength(1)
    await clock.advance(3_600_000)
    await headersOf(credentials)
    expect(await runs()).toHaveLength(2)
    const [first] = await runs()
    expect(first).toMatch(/^get-token more \{.*"server":"https:\/\/10\.0\.0\.1:6443"/)
  })

  it('is run again when its credential was refused', async () => {
    const credentials = await kubeconfig(await plugin({ clientCertificateData: pem, clientKeyData: pem }))
    expect((await credentials.identity(never)).certificate).toEqual({ cert: pem, key: pem })
    credentials.refused()
    await credentials.identity(never)
    expect(await runs()).toHaveLength(2)
  })

  it('says what went wrong, and is tried again', async () => {
    const credentials = await kubeconfig(await plugin({ token: 't' }, 'client.authentication.k8s.io/v1beta1'))
    await expect(credentials.identity(never)).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('exec.command printed apiVersion') as string,
    })
    await writeFile(join(dir, 'plugin.sh'), '#!/bin/sh\necho "not logged in" >&2; exit 3\n')
    await expect(credentials.identity(never)).rejects.toThrow(/users\[0\]\.user\.exec: .*not logged in/)
  })
})

describe('the credentials of a Pod', () => {
  const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }

  it('come from the ServiceAccount folder and the environment', async () => {
    await writeFile(join(dir, 'ca.crt'), pem)
    await writeFile(join(dir, 'token'), 'sa-token\n')
    const credentials = await inClusterCredentials({ directory: dir, environment, clock }, never)
    expect(credentials).toMatchObject({ server: 'https://[fd00::1]:6443', ca: pem })
    expect(await headersOf(credentials)).toEqual({ authorization: 'Bearer sa-token' })
  })

  it('are missed with a sentence outside of one', async () => {
    await expect(inClusterCredentials({ directory: dir, environment: {}, clock }, never)).rejects.toThrow(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set',
    )
    await expect(inClusterCredentials({ directory: dir, environment, clock }, never)).rejects.toThrow(
      `${dir}/ca.crt (the cluster CA) cannot be read`,
    )
  })
})

describe('TLS', () => {
  async function startTlsServer(): Promise<{ server: TestServer; credentials: Credentials; ca: string }> {
    const nowMs = systemClock.wallMs()
    const authority = await CertificateAuthority.open(dir, 'ca', nowMs)
    const names = { commonName: 'kube-apiserver', dnsNames: ['kubernetes'], ipAddresses: [] }
    const serving = await authority.issue({ fileName: 'server', ...names, usages: ['server'] }, nowMs)
    const client = await authority.issue(
      { fileName: 'client', commonName: 'system:node:burst-0', usages: ['client'] },
      nowMs,
    )
    const read = (file: string): Promise<string> => readFile(file, 'utf8')
    const server = await startHttpServer(
      (_request, response, raw) => {
        const peer = (raw.socket as TLSSocket).getPeerCertificate()
        answerJson(response, 200, { kind: 'Name', metadata: { name: peer.subject?.CN ?? 'anonymous' } })
      },
      { cert: await read(serving.certFile), key: await read(serving.keyFile), ca: authority.pem },
    )
    const [cert, key] = [await read(client.certFile), await read(client.keyFile)]
    const explicit = explicitCredentials({ server: server.url, ca: authority.pem, cert, key })
    return { server, credentials: { ...explicit, tlsServerName: 'kubernetes' }, ca: authority.pem }
  }

  async function ask(credentials: Credentials): Promise<string> {
    const options = { userAgent: 'test', clock: systemClock, log: silentLog(), random: Math.random }
    const client = createKubeClient({ credentials, ...options })
    try {
      return await client.getText('/version', never)
    } finally {
      await client.close()
    }
  }

  it('shows the client certificate, and checks the server by authority and by name', async () => {
    const { server, credentials } = await startTlsServer()
    await using _ = server
    expect(await ask(credentials)).toContain('system:node:burst-0')
    // The certificate is of "kubernetes"; the address alone does not match it.
    const { tlsServerName: _name, ...byAddress } = credentials
    await expect(ask(byAddress)).rejects.toMatchObject({ code: 'Unavailable' })
    const { ca: _ca, ...withoutCa } = credentials
    await expect(ask(withoutCa)).rejects.toThrow(/certificate/)
    expect(await ask({ ...withoutCa, insecureSkipTlsVerify: true })).toContain('system:node:burst-0')
  })

  it('shows a rotated certificate from the next request on', async () => {
    const { server, credentials } = await startTlsServer()
    await using _ = server
    const nowMs = systemClock.wallMs()
    const authority = await CertificateAuthority.open(dir, 'ca', nowMs)
    const renewed = await authority.issue(
      { fileName: 'new', commonName: 'renewed', usages: ['client'] },
      nowMs,
    )
    const second = {
      cert: await readFile(renewed.certFile, 'utf8'),
      key: await readFile(renewed.keyFile, 'utf8'),
    }
    let identity = await credentials.identity(never)
    const options = { userAgent: 'test', clock: systemClock, log: silentLog(), random: Math.random }
    const client = createKubeClient({
      credentials: { ...credentials, identity: async () => identity },
      ...options,
    })
    expect(await client.getText('/version', never)).toContain('system:node:burst-0')
    identity = { headers: {}, certificate: second }
    expect(await client.getText('/version', never)).toContain('renewed')
    await client.close()
  })
})
