import { describe, expect, it } from 'vitest'
import { isPostgresUrl, parsePostgresUrl } from '../../src/config/postgres-url.ts'
import { errorMessage } from '../../src/model/errors.ts'

function refusalOf(url: string): string {
  try {
    parsePostgresUrl(url)
  } catch (error) {
    return errorMessage(error)
  }
  throw new Error('the URL was taken')
}

describe('the URL of a PostgreSQL ledger', () => {
  it('is told from a file', () => {
    expect(['postgresql://h/d', 'postgres://h/d'].map(isPostgresUrl)).toEqual([true, true])
    expect(['/var/lib/ledger.db', 'postgres.db', 'http://h/d'].map(isPostgresUrl)).toEqual([
      false,
      false,
      false,
    ])
  })

  it('says where, who, which schema, and how the line is kept', () => {
    const tls = 'sslmode=verify-ca&sslrootcert=/ca.pem&sslcert=/me.pem&sslkey=/me.key'
    expect(parsePostgresUrl(`postgresql://me%40x@db.example:5433/money?schema=shop_1&${tls}`)).toEqual({
      host: 'db.example',
      port: 5433,
      user: 'me@x',
      database: 'money',
      schema: 'shop_1',
      tls: { mode: 'verify-ca', rootCertificate: '/ca.pem', certificate: '/me.pem', key: '/me.key' },
    })
  })

  it('leaves to the PG* variables what it does not say', () => {
    expect(parsePostgresUrl('postgresql:///')).toMatchObject({
      host: undefined,
      port: undefined,
      user: undefined,
      database: undefined,
      schema: 'spillway',
      tls: { mode: undefined },
    })
  })

  it('takes the folder of a socket, and an IPv6 address', () => {
    expect(parsePostgresUrl('postgresql:///d?host=/run/postgresql&user=me')).toMatchObject({
      host: '/run/postgresql',
      user: 'me',
    })
    expect(parsePostgresUrl('postgresql://me@[::1]:5432/d').host).toBe('::1')
  })

  it('is refused with a password in it, which no message repeats', () => {
    for (const url of ['postgresql://me:geheim@h/d', 'postgresql://me@h/d?password=geheim']) {
      expect(refusalOf(url)).toMatch(/password/)
      expect(refusalOf(url)).not.toContain('geheim')
    }
    expect(refusalOf('postgresql://me:geheim@:bad port/')).not.toContain('geheim')
  })

  it('is refused with a word that it does not know', () => {
    expect(refusalOf('postgresql://h/d?sslmode=prefer')).toContain(
      'sslmode: found "prefer"; allowed: disable, require, verify-ca, verify-full',
    )
    expect(refusalOf('postgresql://h/d?schema=Shop-1')).toContain('schema "Shop-1"; allowed: small letters')
    expect(refusalOf('postgresql://h/d?options=x')).toContain('parameter "options"; allowed: schema, host')
    expect(refusalOf('mysql://h/d')).toContain('not of the form postgresql://')
  })
})
