import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { silentLog } from '../../src/telemetry/log.ts'
import { keepWebhookCertificate, type KeptCertificate } from '../../src/webhook/webhook-certificate.ts'
import { FakeClock } from '../support/fake-clock.ts'

const dayMs = 24 * 3_600_000
let folder: string
let clock: FakeClock
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-webhook-'))
  clock = new FakeClock()
})
afterEach(() => rm(folder, { recursive: true }))

const look = (address = '192.0.2.10'): Promise<KeptCertificate> =>
  keepWebhookCertificate({ folder: join(folder, 'pki'), address, clock, log: silentLog() })

function authoritiesOf({ authorities }: KeptCertificate): X509Certificate[] {
  return (authorities.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  )
}

/** Whether one that trusts what was told then takes what is served with now. */
function trusts(told: KeptCertificate, served: KeptCertificate): boolean {
  const leaf = new X509Certificate(served.pair.cert)
  return authoritiesOf(told).some((authority) => authority.ca && leaf.verify(authority.publicKey))
}

it('is made once, good for the address, and is the same after a restart', async () => {
  const first = await look()
  const leaf = new X509Certificate(first.pair.cert)
  expect([leaf.checkIP('192.0.2.10'), leaf.checkIP('192.0.2.11')]).toEqual(['192.0.2.10', undefined])
  expect(leaf.ca).toBe(false)
  expect(trusts(first, first)).toBe(true)
  expect(await look()).toEqual(first)
})

it('is readable by nobody else, and the authority’s key is nowhere', async () => {
  await look()
  const file = join(folder, 'pki/webhook.pem')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await readFile(file, 'utf8')).match(/PRIVATE KEY-----\n/g)).toHaveLength(2)
  expect(await readdir(join(folder, 'pki'))).toEqual(['webhook.pem'])
})

it('is renewed before its end so that who was told a month ago takes what is served today, for ten years', async () => {
  let told = await look()
  const served = new Set([told.pair.cert])
  for (let month = 0; month < 120; month += 1) {
    await clock.advance(30 * dayMs)
    const now = await look()
    const leaf = new X509Certificate(now.pair.cert)
    expect(trusts(told, now)).toBe(true)
    expect(leaf.validToDate.getTime()).toBeGreaterThan(clock.wallMs())
    expect(authoritiesOf(now).length).toBeLessThanOrEqual(2)
    served.add(now.pair.cert)
    told = now
  }
  // One in nine months.
  expect(served.size).toBeGreaterThan(9)
})

it('is another one for another address, and after a file that nobody can read', async () => {
  const first = await look()
  const moved = await look('2001:db8::1')
  expect(new X509Certificate(moved.pair.cert).checkIP('2001:db8::1')).toBe('2001:db8::1')
  expect(trusts(first, moved)).toBe(false)
  await writeFile(
    join(folder, 'pki/webhook.pem'),
    '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n',
  )
  expect(trusts(moved, await look('2001:db8::1'))).toBe(false)
})
