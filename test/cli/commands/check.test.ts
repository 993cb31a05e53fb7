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
  const admission = { placement: 'policy', daemonSets: 'webhook' } as const
  expect(formatCheck({ admission, findings }, plain)).toBe(`problem  the controller may not patch pods
         → kubectl apply -f deploy/rbac.yaml

note     Service shop/front keeps its Pods
         → set it to Cluster

Admission: placement virtual by a policy of the API server, DaemonSets kept off by a webhook of Spillway.
1 problem, 1 note.
`)
  const nothing = { placement: 'nothing', daemonSets: 'nothing' } as const
  expect(formatCheck({ admission: nothing, findings: [] }, plain)).toBe(
    'Admission: placement virtual by nothing, DaemonSets kept off by nothing.\nno problems, no notes.\n',
  )
})
