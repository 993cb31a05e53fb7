import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openServingCertificate } from '../../src/kubelet-api/open-serving-certificate.ts'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import type { PemPair } from '../../src/kubelet-api/serving-certificate.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, fakeEpochMs } from '../support/fake-clock.ts'

const make = (nodeName: string): Promise<PemPair> =>
  selfSignedCertificate({ nodeName, addresses: [], nowMs: fakeEpochMs, lifeMs: 1e9 })

it('follows its files when they are replaced, and never takes half of a pair', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'spillway-cert-'))
  const files = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') }
  const [first, second] = [await make('a'), await make('b')]
  const replace = async (file: string, text: string): Promise<void> => {
    await writeFile(`${file}.new`, text)
    await rename(`${file}.new`, file)
  }
  await replace(files.certFile, first.cert)
  await replace(files.keyFile, first.key)
  const stop = new AbortController()
  const options = { files, nodeName: 'a', addresses: [], clock: new FakeClock(), log: silentLog() }
  const certificate = await openServingCertificate(options, stop.signal)
  expect(certificate.current).toEqual(first)
  const changed = new Promise<PemPair>((resolve) => certificate.onChange(resolve))
  await replace(files.certFile, second.cert)
  await replace(files.keyFile, second.key)
  expect(await changed).toEqual(second)
  stop.abort()
  await rm(directory, { recursive: true })
})

it('is self-signed when there are no files', async () => {
  const options = { nodeName: 'burst-0', addresses: ['10.0.0.5'], clock: new FakeClock(), log: silentLog() }
  const { current } = await openServingCertificate(options, new AbortController().signal)
  expect(current.cert).toMatch(/^-----BEGIN CERTIFICATE-----/)
  expect(current.key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
})
