import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import {
  burstPolicyDefinition,
  clusterBurstPolicyDefinition,
} from '../../../src/scheduling/burst/burst-definitions.ts'

test.each([
  ['burstpolicies', burstPolicyDefinition()],
  ['clusterburstpolicies', clusterBurstPolicyDefinition()],
])('deploy/crds/%s.yaml is the definition that the schema makes', async (plural, definition) => {
  const file = join(import.meta.dirname, `../../../deploy/crds/${plural}.yaml`)
  const text = `# Made from src/config/burst-policy-schema.ts: npx vitest run --project check test/scheduling/burst/burst-definitions.test.ts -u\n${stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false })}`
  await expect(text).toMatchFileSnapshot(file)
})
