import { expect, it } from 'vitest'
import { formatCheck } from '../../../src/cli/commands/check.ts'

const plain = { style: (_style: string, text: string): string => text }

it('gives each finding with its remedy, and counts them', () => {
  const findings = [
    {
      level: 'problem',
      finding: 'the controller may not patch pods',
      remedy: 'kubectl apply -f deploy/rbac.yaml',
    },
    { level: 'note', finding: 'Service shop/front keeps its Pods', remedy: 'set it to Cluster' },
  ] as const
  expect(formatCheck({ findings }, plain)).toBe(`problem  the controller may not patch pods
         → kubectl apply -f deploy/rbac.yaml

note     Service shop/front keeps its Pods
         → set it to Cluster

1 problem, 1 note.
`)
  expect(formatCheck({ findings: [] }, plain)).toBe('no problems, no notes.\n')
})
