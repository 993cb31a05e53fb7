import { dirname, resolve } from 'node:path'
import { parse, YAMLParseError } from 'yaml'
import type { Clock } from '../model/clock.ts'
import { SpillwayError } from '../model/errors.ts'
import {
  createTokenFile,
  impersonationHeaders,
  readTextFile,
  serverUrl,
  type ClientCertificate,
  type Credentials,
  type Impersonation,
} from './credentials.ts'
import { createExecPlugin, type ExecPlugin } from './exec-plugin.ts'
import { YamlNode } from './yaml-node.ts'

export interface KubeconfigOptions {
  readonly path: string
  /** Default: the file's `current-context`. */
  readonly context?: string
  /** Given to exec plugins. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** In place of what the file's user says under `as`. */
  readonly impersonate?: Impersonation
}

/** Reads a kubeconfig. Rejects with ConfigInvalid naming file and field. Relative paths in it start at its folder. */
export async function loadKubeconfig(options: KubeconfigOptions, signal: AbortSignal): Promise<Credentials> {
  const root = await readRoot(options.path, signal)
  const contextName = options.context ?? root.text('current-context')
  if (!contextName) throw root.error('current-context', 'is missing, and no context was named')
  const context = named(root, 'contexts', 'context', contextName)
  const cluster = named(root, 'clusters', 'cluster', context.required('cluster'))
  const userName = context.text('user')
  const user = userName ? named(root, 'users', 'user', userName) : undefined
  const connection = await connectionOf(cluster, signal)
  const identity = user ? await userIdentity(user, cluster, connection.server, options, signal) : anonymous
  const impersonation = impersonationHeaders(options.impersonate ?? (user && statedImpersonation(user)))
  return {
    ...connection,
    identity: async (signal) => {
      const { headers, certificate } = await identity.current(signal)
      return { headers: { ...headers, ...impersonation }, ...(certificate && { certificate }) }
    },
    refused: () => identity.refused(),
  }
}

async function readRoot(path: string, signal: AbortSignal): Promise<YamlNode> {
  const text = await readTextFile(path, 'the kubeconfig', signal)
  try {
    return new YamlNode(path, '', parse(text) as unknown)
  } catch (error) {
    if (error instanceof SpillwayError) throw error
    throw new SpillwayError('ConfigInvalid', `${path}: not YAML${whereOf(error)}`)
  }
}

/** Without the parser's sentence: it quotes the line, on which a token may stand, and this goes into logs. */
function whereOf(error: unknown): string {
  if (!(error instanceof YAMLParseError)) return ''
  const [start] = error.linePos ?? []
  return ` (${error.code}${start ? ` at line ${start.line}, column ${start.col}` : ''})`
}

/** The entry of a list of `{name, <kind>: {…}}`. */
function named(root: YamlNode, list: string, kind: string, name: string): YamlNode {
  const entries = root.list(list)
  const found = entries.find((entry) => entry.text('name') === name)
  if (found) return found.child(kind) ?? new YamlNode(found.file, `${found.path}.${kind}`, {})
  const names = entries.map((entry) => entry.text('name')).filter(Boolean)
  throw root.error(list, `has no entry named "${name}" (there are: ${names.join(', ') || 'none'})`)
}

type Connection = Pick<Credentials, 'server' | 'ca' | 'insecureSkipTlsVerify' | 'tlsServerName'>

async function connectionOf(cluster: YamlNode, signal: AbortSignal): Promise<Connection> {
  const server = serverUrl(cluster.required('server'), `${cluster.file}: ${cluster.path}.server`)
  if (cluster.text('proxy-url')) throw cluster.error('proxy-url', 'is not supported; give a direct address')
  const insecureSkipTlsVerify = cluster.flag('insecure-skip-tls-verify')
  const ca = await pem(cluster, 'certificate-authority', signal)
  if (ca !== undefined && insecureSkipTlsVerify) {
    throw cluster.error('insecure-skip-tls-verify', 'cannot be set beside a certificate authority')
  }
  const tlsServerName = cluster.text('tls-server-name')
  return {
    server,
    insecureSkipTlsVerify,
    ...(ca !== undefined && { ca }),
    ...(tlsServerName !== undefined && { tlsServerName }),
  }
}

/** `<field>-data` in base64, or the file that `<field>` names. */
async function pem(node: YamlNode, field: string, signal: AbortSignal): Promise<string | undefined> {
  const dataField = `${field}-data`
  const data = node.text(dataField)
  const file = node.text(field)
  if (data === undefined && file === undefined) return undefined
  const text =
    data !== undefined
      ? Buffer.from(data, 'base64').toString('utf8')
      : await readTextFile(absolute(node, file ?? ''), `${node.path}.${field}`, signal)
  if (!text.includes('-----BEGIN ')) {
    const found = data === undefined ? `the file ${file} holds no PEM` : 'is not base64 of PEM'
    throw node.error(data === undefined ? field : dataField, found)
  }
  return text
}

function absolute(node: YamlNode, path: string): string {
  return resolve(dirname(node.file), path)
}

interface UserIdentity {
  current(signal: AbortSignal): Promise<{
    readonly headers: Readonly<Record<string, string>>
    readonly certificate?: ClientCertificate
  }>
  refused(): void
}

const anonymous: UserIdentity = {
  current: () => Promise.resolve({ headers: {} }),
  refused: () => undefined,
}

async function userIdentity(
  user: YamlNode,
  cluster: YamlNode,
  server: string,
  { environment, clock }: KubeconfigOptions,
  signal: AbortSignal,
): Promise<UserIdentity> {
  if (user.child('auth-provider')) {
    throw user.error('auth-provider', 'is not supported (Kubernetes 1.26 removed it); use exec')
  }
  const exec = user.child('exec')
  if (exec) return execIdentity(createExecPlugin({ exec, cluster, server, environment, clock }))
  const certificate = await certificateOf(user, signal)
  const withCertificate = certificate && { certificate }
  const tokenPath = user.text('tokenFile')
  // The file wins over a token written beside it, as in client-go (clientcmd): it is the one that gets renewed.
  if (tokenPath !== undefined) {
    const path = absolute(user, tokenPath)
    const token = createTokenFile({ path, what: `${user.path}.tokenFile`, clock })
    await token.read(signal)
    return {
      current: async (signal) => ({
        headers: { authorization: `Bearer ${await token.read(signal)}` },
        ...withCertificate,
      }),
      refused: () => token.forget(),
    }
  }
  const headers = staticAuthorization(user)
  return { current: () => Promise.resolve({ headers, ...withCertificate }), refused: () => undefined }
}

function staticAuthorization(user: YamlNode): Record<string, string> {
  const token = user.text('token')
  if (token !== undefined) return { authorization: `Bearer ${token}` }
  const username = user.text('username')
  if (username === undefined) return {}
  const pair = Buffer.from(`${username}:${user.text('password') ?? ''}`, 'utf8').toString('base64')
  return { authorization: `Basic ${pair}` }
}

function execIdentity(plugin: ExecPlugin): UserIdentity {
  return {
    current: async (signal) => {
      const { token, certificate } = await plugin.credential(signal)
      return {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(certificate && { certificate }),
      }
    },
    refused: () => plugin.forget(),
  }
}

async function certificateOf(user: YamlNode, signal: AbortSignal): Promise<ClientCertificate | undefined> {
  const cert = await pem(user, 'client-certificate', signal)
  const key = await pem(user, 'client-key', signal)
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined) throw user.error('client-certificate', 'is missing beside client-key')
  if (key === undefined) throw user.error('client-key', 'is missing beside client-certificate')
  return { cert, key }
}

function statedImpersonation(user: YamlNode): Impersonation | undefined {
  for (const field of ['as-uid', 'as-user-extra']) {
    if (user.has(field)) throw user.error(field, 'is not supported')
  }
  const name = user.text('as')
  return name === undefined ? undefined : { user: name, groups: user.texts('as-groups') }
}
