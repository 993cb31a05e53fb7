import { expect, test } from 'vitest'
import type { Pod } from '../../src/model/kubernetes.ts'
import { podsWaitingFor } from '../../src/scheduling/waiting-pods.ts'
import { boundSample, clusterSample, podSample, serverSample, virtualSample } from './samples.ts'

const pool = { name: 'burst', refuses: () => undefined }
const rules = { waitMs: 0, nominatedWaitMs: 30_000, allowLocalTraffic: false }
const zone = 'topology.kubernetes.io/zone'
const full = [boundSample('server-0', { name: 'hog', cpu: '900m' })]

function waiting(pods: readonly Pod[], where = 'a'): readonly (string | undefined)[] {
  const annotations = { 'pv.kubernetes.io/bind-completed': 'yes' }
  const claim = { metadata: { namespace: 'shop', name: 'data', annotations }, spec: { volumeName: 'disk' } }
  const disk = { metadata: { name: 'disk', labels: { [zone]: where } } }
  const volumes = { claims: [claim], volumes: [disk], classes: [] }
  const server = serverSample({ labels: { [zone]: where } })
  const picture = clusterSample({ nodes: [server], pods: full, volumes })
  const node = virtualSample('burst', { labels: { [zone]: 'a' } })
  const found = podsWaitingFor({ pods, picture, rules, pool, node, nowWallMs: 1_000_000 })
  return found.map(({ metadata }) => metadata?.name)
}

test('one more node is for those that find no room and would go there', () => {
  const small = podSample({ name: 'small', cpu: '50m' })
  const kept = podSample({ name: 'kept', labels: { 'spillway.dev/placement': 'server' } })
  const large = podSample({ name: 'large', cpu: '64' })
  expect(waiting([podSample({ name: 'web' }), small, kept, large, ...full])).toEqual(['web'])
})

test('not for one whose volume it does not reach', () => {
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }]
  const pods = [podSample({ spec: { volumes } })]
  expect(waiting(pods, 'a')).toEqual(['web-1'])
  expect(waiting(pods, 'b')).toEqual([])
})
