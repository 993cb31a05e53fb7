import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { readFile, mkdtemp, copyFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CertificateAuthority, type CertificateRequest } from '../../src/dev-cluster/pki.ts'
import type { PemPair } from '../../src/model/pem-pair.ts'

/** What a caller of the node API shows. */
export interface DoorCredential {
  readonly token?: string
  readonly identity?: PemPair
  readonly headers?: Readonly<Record<string, string>>
}

/** The two halves of a token that is true, to make others like it. */
export interface TokenParts {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

export function tokenParts(token: string): TokenParts {
  const [header = '', claims = ''] = token.split('.')
  return { header: decoded(header), claims: decoded(claims) }
}

/** Signed as the API server signs the tokens of ServiceAccounts here: ES256. */
export function signedToken({ header, claims }: TokenParts, key: KeyObject): string {
  const text = `${encoded(header)}.${encoded(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

/** A token whose header says that it needs no signature. */
export function unsignedToken(claims: TokenParts['claims']): string {
  return `${encoded({ alg: 'none', typ: 'JWT' })}.${encoded(claims)}.`
}

export function anyKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

export async function keyIn(file: string): Promise<KeyObject> {
  return createPrivateKey(await readFile(file))
}

/** Certificates of an authority, made in a folder of their own: of the cluster's when its folder is given, else of a new one. */
export async function certificatesOf(
  pkiDir: string | undefined,
  requests: readonly (Omit<CertificateRequest, 'fileName'> & { readonly atMs: number })[],
): Promise<PemPair[]> {
  const dir = await mkdtemp(join(tmpdir(), 'spillway-door-'))
  try {
    for (const file of pkiDir === undefined ? [] : ['ca.crt', 'ca.key']) {
      await copyFile(join(pkiDir ?? '', file), join(dir, file))
    }
    const pairs: PemPair[] = []
    for (const [index, { atMs, ...request }] of requests.entries()) {
      const authority = await CertificateAuthority.open(dir, 'ca', atMs)
      const { certFile, keyFile } = await authority.issue({ fileName: `made-${index}`, ...request }, atMs)
      pairs.push({ cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') })
    }
    return pairs
  } finally {
    await rm(dir, { recursive: true })
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

function decoded(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
}
