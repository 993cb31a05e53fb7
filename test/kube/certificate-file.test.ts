import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { selfSignedCertificate } from '../../src/kubelet-api/self-signed.ts'
import { readPair, writePair } from '../../src/kube/certificate-file.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-pair-'))
})

afterEach(async () => await rm(folder, { recursive: true }))

const make = (nodeName: string) =>
  selfSignedCertificate({ nodeName, addresses: [], nowMs: fakeEpochMs, lifeMs: 1e9 })

it('keeps a chain and its key for this user alone, and replaces both as one', async () => {
  const file = join(folder, 'pki/node.pem')
  expect(await readPair(file)).toBeUndefined()
  const [leaf, authority, next] = [await make('a'), await make('ca'), await make('b')]
  const pair = { cert: `${leaf.cert}${authority.cert}`, key: leaf.key }
  await writePair(file, pair)
  expect(await readPair(file)).toEqual(pair)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'pki'))).mode & 0o777).toBe(0o700)
  await writePair(file, next)
  expect(await readPair(file)).toEqual(next)
  expect(await readdir(join(folder, 'pki'))).toEqual(['node.pem'])
})

it('takes half a pair for none', async () => {
  const file = join(folder, 'node.pem')
  await writeFile(file, (await make('a')).cert)
  expect(await readPair(file)).toBeUndefined()
})
