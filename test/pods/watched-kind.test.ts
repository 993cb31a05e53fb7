import { expect, test } from 'vitest'
import type { KubeApi } from '../../src/kube/api.ts'
import { clusterTrustBundles } from '../../src/kube/resources.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { WatchedKind } from '../../src/pods/watched-kind.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../support/fake-clock.ts'

const never = new AbortController().signal
const clock = new FakeClock()
const notHere = (): never => {
  throw new SpillwayError('Unavailable', 'not asked here')
}

/** An API server of an age: what it serves is all that counts here. The stories ask a real one. */
function watched(served: Readonly<Record<string, readonly string[]>>, list: KubeApi['list'] = notHere) {
  const getText = async (path: string): Promise<string> => {
    const names = served[path]
    if (!names) throw new SpillwayError('NotFound', path)
    return JSON.stringify({ resources: names.map((name) => ({ name })) })
  }
  const api = { getText, list, watch: notHere } as Partial<KubeApi> as KubeApi
  return new WatchedKind({
    api,
    resource: clusterTrustBundles,
    versions: ['v1', 'v1beta1'],
    selection: {},
    purpose: 'ClusterTrustBundle projection',
    clock,
    backoff: () => 1_000,
    log: silentLog(),
  })
}

test('an API server without the kind is told of, and asked again the next time', async () => {
  const served: Record<string, readonly string[]> = {
    '/apis/certificates.k8s.io/v1': ['certificatesigningrequests'],
  }
  const asked: string[] = []
  const kind = watched(served, async (resource) => {
    asked.push(resource.version)
    return { metadata: { resourceVersion: '1' }, items: [] }
  })
  await expect(kind.read(never)).rejects.toThrow(
    'ClusterTrustBundle projection is not supported: the API server serves no clustertrustbundles in ' +
      'certificates.k8s.io/v1, certificates.k8s.io/v1beta1',
  )
  served['/apis/certificates.k8s.io/v1beta1'] = ['clustertrustbundles']
  expect((await kind.read(never)).list()).toEqual([])
  expect(asked).toEqual(['v1beta1'])
  kind.close()
})

test('a kind that is served but not shown is told of after ten seconds', async () => {
  const kind = watched({ '/apis/certificates.k8s.io/v1': ['clustertrustbundles'] })
  const read = kind.read(never)
  const refused = expect(read).rejects.toThrow('ClusterTrustBundle informer has not yet synced')
  await expect.poll(() => clock.pending).toBeGreaterThan(1)
  await clock.advance(10_000)
  await refused
  kind.close()
})
