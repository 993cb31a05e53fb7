import { execFile } from 'node:child_process'
import { dirname, resolve } from 'node:path'
import { parseTimeMs, type Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { ClientCertificate } from './credentials.ts'
import { untilAborted } from './until-aborted.ts'
import type { YamlNode } from './yaml-node.ts'

/** A program that makes credentials: https://kubernetes.io/docs/reference/access-authn-authz/authentication (exec). */
export interface ExecPlugin {
  /** Cached until it expires. Rejects with Unavailable: the program failed, tried anew at the next call. */
  credential(signal: AbortSignal): Promise<ExecCredential>
  /** The API server refused it: asked anew next time. */
  forget(): void
}

export interface ExecCredential {
  readonly token?: string
  readonly certificate?: ClientCertificate
  readonly expiresAtMs?: number
}

export interface ExecPluginOptions {
  /** `users[].user.exec` */
  readonly exec: YamlNode
  /** `clusters[].cluster` */
  readonly cluster: YamlNode
  readonly server: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
}

const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']
const timeoutMs = 60_000
// A credential that expires on its way to the server is refused; some seconds early costs nothing.
const expiryMarginMs = 10_000

/** Checks the settings now and runs the program when a credential is wanted. Throws ConfigInvalid. */
export function createExecPlugin(options: ExecPluginOptions): ExecPlugin {
  const { exec, clock } = options
  const run = preparedRun(options)
  let cached: ExecCredential | undefined
  let running: Promise<ExecCredential> | undefined
  const fresh = (): ExecCredential | undefined => {
    const expiresAtMs = cached?.expiresAtMs
    return expiresAtMs === undefined || clock.wallMs() < expiresAtMs - expiryMarginMs ? cached : undefined
  }
  return {
    credential: async (signal) => {
      signal.throwIfAborted()
      const known = fresh()
      if (known) return known
      // One run serves all that wait, so it has a time-out of its own in place of anybody's signal.
      running ??= run()
        .then((output) => {
          cached = parseCredential(output, exec)
          return cached
        })
        .finally(() => {
          running = undefined
        })
      return untilAborted(running, signal)
    },
    forget: () => {
      cached = undefined
    },
  }
}

function preparedRun(options: ExecPluginOptions): () => Promise<string> {
  const { exec, environment } = options
  const apiVersion = exec.required('apiVersion')
  if (!versions.includes(apiVersion)) {
    throw exec.error('apiVersion', `is "${apiVersion}", allowed are ${versions.join(' and ')}`)
  }
  if (exec.text('interactiveMode') === 'Always') {
    throw exec.error('interactiveMode', 'is Always, but nobody is there to be asked')
  }
  const command = exec.required('command')
  // With a slash it is a path, from the folder of the file; without one PATH is searched, as client-go does.
  const program = command.includes('/') ? resolve(dirname(exec.file), command) : command
  const variables: Record<string, string | undefined> = { ...environment }
  for (const variable of exec.list('env')) variables[variable.required('name')] = variable.text('value') ?? ''
  variables['KUBERNETES_EXEC_INFO'] = JSON.stringify(execInfo(apiVersion, options))
  const words = exec.texts('args')
  return () =>
    new Promise((resolve, reject) => {
      const settings = { env: variables, timeout: timeoutMs, maxBuffer: 4 * 1024 * 1024 }
      execFile(program, words, settings, (error, stdout, stderr) => {
        if (!error) return resolve(stdout)
        const hint = exec.text('installHint')
        const details = [errorMessage(error).split('\n', 1)[0], stderr.trim().slice(0, 500), hint]
        const message = `${exec.file}: ${exec.path}: ${details.filter(Boolean).join('; ')}`
        reject(new SpillwayError('Unavailable', message, { cause: error }))
      })
    })
}

function execInfo(apiVersion: string, { exec, cluster, server }: ExecPluginOptions): object {
  const spec = { interactive: false }
  if (!exec.flag('provideClusterInfo')) return { kind: 'ExecCredential', apiVersion, spec }
  const info = {
    server,
    'tls-server-name': cluster.text('tls-server-name'),
    'insecure-skip-tls-verify': cluster.flag('insecure-skip-tls-verify'),
    'certificate-authority-data': cluster.text('certificate-authority-data'),
  }
  return { kind: 'ExecCredential', apiVersion, spec: { ...spec, cluster: info } }
}

function parseCredential(output: string, exec: YamlNode): ExecCredential {
  const fail = (problem: string, cause?: unknown): SpillwayError =>
    new SpillwayError('Unavailable', `${exec.file}: ${exec.path}.command ${problem}`, { cause })
  let parsed: { apiVersion?: string; status?: Record<string, string | undefined> } | null
  try {
    parsed = JSON.parse(output) as typeof parsed
  } catch (error) {
    throw fail('printed something that is not JSON', error)
  }
  if (parsed?.apiVersion !== exec.required('apiVersion')) {
    throw fail(
      `printed apiVersion ${JSON.stringify(parsed?.apiVersion)}, asked for was ${exec.text('apiVersion')}`,
    )
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = parsed.status ?? {}
  if (!token && !cert) throw fail('printed neither status.token nor status.clientCertificateData')
  if (Boolean(cert) !== Boolean(key))
    throw fail('printed only one of clientCertificateData and clientKeyData')
  return {
    ...(token && { token }),
    ...(cert && key && { certificate: { cert, key } }),
    ...(expirationTimestamp && { expiresAtMs: parseTimeMs(expirationTimestamp) }),
  }
}
