import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ownCertificate, selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { fileCertificate } from '../../src/kubelet-api/serving-certificate.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { PemPair } from '../../src/model/pem-pair.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'

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
  const certificate = await fileCertificate({ ...files, log: silentLog() }, stop.signal)
  expect(certificate.current).toEqual(first)
  const changed = new Promise<PemPair>((resolve) => certificate.onChange(resolve))
  await replace(files.certFile, second.cert)
  await replace(files.keyFile, second.key)
  expect(await changed).toEqual(second)
  stop.abort()
  await rm(directory, { recursive: true })
})

it('names its field when a file is not there', async () => {
  const files = { certFile: '/none/tls.crt', keyFile: '/none/tls.key', log: silentLog() }
  const error = await fileCertificate(files, new AbortController().signal).catch((one: unknown) => one)
  expect(hasCode(error, 'ConfigInvalid') && error.message).toContain(
    'nodeApi.servingCertificate: /none/tls.crt',
  )
})

it('is the one from before, or self-signed when there is none', async () => {
  const subject = { nodeName: 'burst-0', addresses: ['10.0.0.5'], nowMs: fakeEpochMs }
  const { current } = await ownCertificate(subject, undefined)
  expect(current.cert).toMatch(/^-----BEGIN CERTIFICATE-----/)
  expect(current.key).toMatch(/^-----BEGIN PRIVATE KEY-----/)
  expect((await ownCertificate(subject, current)).current).toBe(current)
})
