import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { poolDefinition } from '../../src/pools/pool-definition.ts'

test('the file that people apply is the definition that the configuration’s schema makes', async () => {
  const file = join(import.meta.dirname, '../../deploy/crds/virtualnodepools.yaml')
  const text = `# Made from src/config/pool-schema.ts: npx vitest run --project check test/pools/pool-definition.test.ts -u\n${stringify(poolDefinition(), { lineWidth: 0, aliasDuplicateObjects: false })}`
  await expect(text).toMatchFileSnapshot(file)
})
