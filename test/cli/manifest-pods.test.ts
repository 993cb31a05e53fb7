import { describe, expect, it } from 'vitest'
import { podsOfManifests } from '../../src/cli/manifest-pods.ts'

const place = { file: 'web.yaml', namespace: 'shop' }
const template = `template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}`

describe('the Pods of manifests', () => {
  it('are the Pods themselves, and one of each workload as its controller makes them', () => {
    const pods = podsOfManifests(
      [
        `{kind: Pod, metadata: {name: one, namespace: own}, spec: {containers: [{name: c}]}}`,
        `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {${template}}}`,
        `{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {jobTemplate: {spec: {${template}}}}}`,
        `{kind: Service, metadata: {name: front}, spec: {}}`,
      ].join('\n---\n'),
      place,
    )
    expect(
      pods.map(({ metadata, spec }) => ({
        name: metadata?.name,
        namespace: metadata?.namespace,
        owner: metadata?.ownerReferences?.[0]?.kind,
        labels: metadata?.labels,
        containers: spec?.containers.length,
      })),
    ).toEqual([
      { name: 'one', namespace: 'own', owner: undefined, labels: undefined, containers: 1 },
      { name: 'web-…', namespace: 'shop', owner: 'ReplicaSet', labels: { app: 'web' }, containers: 1 },
      { name: 'nightly-…', namespace: 'shop', owner: 'Job', labels: { app: 'web' }, containers: 1 },
    ])
  })

  it('come out of lists too', () => {
    const list = `{kind: List, items: [{kind: DaemonSet, metadata: {name: agent}, spec: {${template}}}]}`
    expect(podsOfManifests(list, place)[0]?.metadata?.ownerReferences?.[0]?.kind).toBe('DaemonSet')
  })

  it('are missed with what was found, and what is allowed', () => {
    expect(() => podsOfManifests('{kind: Service}', place)).toThrow(
      'web.yaml: found Service; allowed: a Pod, or what has a Pod template',
    )
    expect(() => podsOfManifests('', place)).toThrow('web.yaml: found nothing; allowed:')
    expect(() => podsOfManifests('a: [', place)).toThrow(/^web.yaml: /)
  })
})
