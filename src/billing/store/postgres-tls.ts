import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { tlsMode, type PostgresUrl } from '../../config/postgres-url.ts'
import { SpillwayError } from '../../model/errors.ts'

/**
 * libpq's modes, but for its default, which takes an open line when the server offers no other: here nothing but a
 * socket or this machine is spoken to in the clear unless `sslmode=disable` says so. Files are read at each connecting,
 * so that new certificates are found.
 */
export function tlsOptions(
  { host, tls }: PostgresUrl,
  environmentMode: string | undefined,
): PostgresTlsOptions {
  const mode =
    tls.mode ?? tlsMode('PGSSLMODE', environmentMode) ?? (isLocal(host) ? 'disable' : 'verify-full')
  if (mode === 'disable') return false
  const files = {
    ...(tls.rootCertificate !== undefined && { ca: readFileSync(tls.rootCertificate, 'utf8') }),
    ...(tls.certificate !== undefined && { cert: readFileSync(tls.certificate, 'utf8') }),
    ...(tls.key !== undefined && { key: readFileSync(tls.key, 'utf8') }),
  }
  if (mode === 'verify-full') return files
  if (tls.rootCertificate !== undefined) return { ...files, checkServerIdentity: () => undefined }
  if (mode === 'verify-ca') {
    throw new SpillwayError(
      'Usage',
      'sslmode=verify-ca needs sslrootcert, the file of the authority to verify by',
    )
  }
  return { ...files, rejectUnauthorized: false }
}

export type PostgresTlsOptions = false | ConnectionOptions

function isLocal(host: string | undefined): boolean {
  return host === undefined || host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host)
}
