import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { sourceIdentity } from '../../../src/dev-cluster/conformance/source-identity.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'spillway-sources-'))
  await mkdir(join(root, 'src/node'), { recursive: true })
  await writeFile(join(root, 'src/node/a.ts'), 'one')
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

it('changes with a source, and only with a source', async () => {
  const before = await sourceIdentity(root)
  expect(before).toMatch(/^[0-9a-f]{12}$/)
  await writeFile(join(root, 'README.md'), 'docs')
  expect(await sourceIdentity(root)).toBe(before)
  await writeFile(join(root, 'src/node/a.ts'), 'two')
  expect(await sourceIdentity(root)).not.toBe(before)
})

it('changes with the name of a source', async () => {
  const before = await sourceIdentity(root)
  await rm(join(root, 'src/node/a.ts'))
  await writeFile(join(root, 'src/node/b.ts'), 'one')
  expect(await sourceIdentity(root)).not.toBe(before)
})
