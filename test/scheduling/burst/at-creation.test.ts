import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { foreignWords } from '../../../src/model/foreign-keys.ts'
import type { Namespace } from '../../../src/model/kubernetes.ts'
import { alwaysPolicyNames, serverOnlyNamespaces } from '../../../src/model/words.ts'
import { alwaysPolicyOf, atCreation, keptOffServers } from '../../../src/scheduling/burst/at-creation.ts'
import { inOrder, type BurstPolicy } from '../../../src/scheduling/burst/burst-policy.ts'
import { podSample } from '../samples.ts'
import { policySample } from './samples.ts'

const shop: Namespace = { metadata: { name: 'shop', labels: { team: 'a' } } }
const lab: Namespace = { metadata: { name: 'lab', labels: { team: 'b' } } }
const web = { podSelector: { matchLabels: { app: 'web' } } }
const always = policySample('always', { spec: { mode: 'Always' } })
const everywhere = policySample('everywhere', { kind: 'ClusterBurstPolicy', spec: { mode: 'Always' } })

function answer(policy: BurstPolicy, others: readonly BurstPolicy[] = []): string | undefined {
  const scene = { policies: inOrder([policy, ...others]), namespaces: [shop, lab] }
  const found = atCreation(policy, scene)
  return found && `${found.holds}: ${found.because}`
}

describe('a policy that says Always is heard as Pods are created', () => {
  test('where none counts before it', () => {
    expect(answer(always)).toMatch(/^true: no server is asked about its Pods/)
    expect(answer(always, [everywhere])).toMatch(/^true/)
    expect(answer(everywhere)).toMatch(/^true/)
  })

  test('and others say nothing about it', () => {
    expect(answer(policySample('auto'))).toBeUndefined()
    expect(answer(policySample('odd', { spec: { mode: 'Maybe' } }))).toBeUndefined()
  })

  test('not where one that says otherwise counts before it for some Pods, which is named', () => {
    const before = policySample('web', { spec: { mode: 'Never', ...web } })
    expect(answer(always, [before])).toBe(
      'false: BurstPolicy shop/web counts before it and says Never: a server that has room may take its Pods',
    )
    expect(answer(always, [policySample('web', { spec: { mode: 'Always', ...web } })])).toMatch(/^true/)
    expect(answer(always, [policySample('web', { namespace: 'lab', spec: web })])).toMatch(/^true/)
    const older = policySample('older', { created: '2025-01-01T00:00:00Z' })
    expect(answer(always, [older])).toMatch(/^false: BurstPolicy shop\/older counts before it and says Auto/)
  })

  test('of the cluster’s those that select no namespace with another one', () => {
    const own = policySample('own')
    expect(answer(everywhere, [own])).toMatch(/^false: BurstPolicy shop\/own/)
    const namespaceSelector = { matchLabels: { team: 'b' } }
    const ofLab = policySample('of-lab', {
      kind: 'ClusterBurstPolicy',
      spec: { mode: 'Always', namespaceSelector },
    })
    expect(answer(ofLab, [own])).toMatch(/^true/)
    expect(answer(ofLab, [policySample('own', { namespace: 'lab' })])).toMatch(/^false/)
    const first = policySample('first', { kind: 'ClusterBurstPolicy', spec: { ...web, namespaceSelector } })
    expect(answer(ofLab, [first])).toMatch(/^false: ClusterBurstPolicy first/)
  })
})

describe('a Pod', () => {
  const scene = { policies: [always], namespaces: [shop] }

  test('of such a policy is kept off servers, and is not let out by that', () => {
    const kept = keptOffServers(podSample({ spec: { nodeSelector: { disk: 'ssd' } } }), shop, scene)
    expect(kept.spec?.nodeSelector).toEqual({ disk: 'ssd', type: 'virtual-kubelet' })
    expect(kept.spec?.tolerations).toBeUndefined()
  })

  test('that says itself where it is to be is not', () => {
    for (const labels of [{ 'spillway.dev/placement': 'auto' }, { 'alibabacloud.com/eci': 'true' }]) {
      const pod = podSample({ labels })
      expect(keptOffServers(pod, shop, scene)).toBe(pod)
    }
    const home = { metadata: { name: 'shop', labels: { 'spillway.dev/placement': 'auto' } } }
    expect(alwaysPolicyOf(podSample(), home, [always])).toBeUndefined()
  })

  test('that names its node, is a DaemonSet’s, or is another namespace’s is not', () => {
    const others = [
      podSample({ spec: { nodeName: 'server-0' } }),
      podSample({ owner: 'DaemonSet' }),
      podSample({ namespace: 'lab' }),
    ]
    for (const pod of others) expect(keptOffServers(pod, shop, scene)).toBe(pod)
  })

  test('for which another policy counts is not', () => {
    const policies = inOrder([always, policySample('web', { spec: { mode: 'Auto', ...web } })])
    const pod = podSample({ labels: { app: 'web' } })
    expect(keptOffServers(pod, shop, { policies, namespaces: [shop] })).toBe(pod)
    expect(alwaysPolicyOf(pod, shop, policies)).toBeUndefined()
    expect(alwaysPolicyOf(podSample(), shop, policies)).toBe(always)
  })
})

describe('deploy/admission/burst-policies.yaml', () => {
  const file = join(import.meta.dirname, '../../../deploy/admission/burst-policies.yaml')
  const objects = parseAllDocuments(readFileSync(file, 'utf8')).map(
    (document) => document.toJS() as { kind: string; metadata: { name: string } },
  )
  const admission = objects.filter(({ kind }) => kind === 'MutatingAdmissionPolicy')

  test('has the two that check and the rights name', () => {
    expect(admission.map(({ metadata }) => metadata.name)).toEqual(alwaysPolicyNames)
  })

  test.each(admission.map((one) => [one.metadata.name, JSON.stringify(one)]))(
    '%s passes over whoever uses a word for where a Pod is to be, and whoever never goes out',
    (_name, text) => {
      const words = foreignWords
        .filter(({ meaning }) => meaning.kind === 'placement')
        .flatMap(({ keys }) => keys)
      const quoted = [...words, 'spillway.dev/placement', ...serverOnlyNamespaces].map((word) => `'${word}'`)
      expect(quoted.filter((word) => !text.includes(word))).toEqual([])
    },
  )
})
