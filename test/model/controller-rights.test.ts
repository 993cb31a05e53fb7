import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { controllerRights, moveBackRights } from '../../src/model/controller-rights.ts'

test.each([
  ['rbac.yaml', controllerRights],
  ['move-back.yaml', moveBackRights],
])('deploy/%s grants what Spillway checks for, and nothing else', (file, rights) => {
  const text = readFileSync(join(import.meta.dirname, '../../deploy', file), 'utf8')
  const objects = parseAllDocuments(text).map(
    (document) => document.toJS() as { kind: string; rules?: unknown },
  )
  expect(objects.find(({ kind }) => kind === 'ClusterRole')?.rules).toEqual(rights)
})
