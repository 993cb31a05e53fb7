import { describe, expect, test } from 'vitest'
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from '../../src/model/kubernetes.ts'
import { usesClaims, Volumes, type VolumeObjects } from '../../src/scheduling/volumes.ts'
import { boundSample, podSample, serverSample } from './samples.ts'

const zone = 'topology.kubernetes.io/zone'
const inA = nodeIn('a')
const inB = nodeIn('b')

function nodeIn(name: string): Node {
  return serverSample({
    name: `server-${name}`,
    labels: { [zone]: name, 'kubernetes.io/hostname': `server-${name}` },
  })
}

function podWith(...claims: readonly string[]): Pod {
  const volumes = claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }))
  return podSample({ spec: { volumes } })
}

function claimOf(
  name: string,
  spec: PersistentVolumeClaim['spec'] = {},
  more: Partial<PersistentVolumeClaim> = {},
): PersistentVolumeClaim {
  return {
    metadata: { namespace: 'shop', name, uid: `uid-${name}`, ...more.metadata },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
    ...(more.status && { status: more.status }),
  }
}

const completed = { annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } }

/** A claim that has the volume of its name. */
function boundClaim(name: string, spec: PersistentVolumeClaim['spec'] = {}): PersistentVolumeClaim {
  return claimOf(name, { volumeName: name, ...spec }, { metadata: { namespace: 'shop', name, ...completed } })
}

function volumeOf(name: string, spec: object = {}, labels: Record<string, string> = {}): PersistentVolume {
  return {
    metadata: { name, labels },
    spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...spec },
    status: { phase: 'Available' },
  }
}

function only(key: string, value: string): object {
  return {
    nodeAffinity: {
      required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: 'In', values: [value] }] }] },
    },
  }
}

function classOf(name: string, more: Partial<StorageClass> = {}): StorageClass {
  return {
    metadata: { name },
    provisioner: 'example.com/maker',
    volumeBindingMode: 'WaitForFirstConsumer',
    ...more,
  }
}

/** Why not on the node in zone a, and in zone b. */
function off(
  pod: Pod,
  objects: Partial<VolumeObjects>,
  bound: readonly Pod[] = [],
): readonly (string | undefined)[] {
  const volumes = new Volumes({ claims: [], volumes: [], classes: [], ...objects }, bound)
  return [inA, inB].map((node) => volumes.keepOff(pod, node)?.why)
}

test('a Pod without claims may be anywhere, whatever there is', () => {
  const pod = podSample({ spec: { volumes: [{ name: 'tmp', emptyDir: {} }] } })
  expect(usesClaims(pod)).toBe(false)
  expect(off(pod, {})).toEqual([undefined, undefined])
})

describe('a claim that has its volume', () => {
  const elsewhere = 'volume data, which is elsewhere'

  test('goes by the volume’s node affinity', () => {
    const objects = { claims: [boundClaim('data')], volumes: [volumeOf('data', only(zone, 'a'))] }
    expect(off(podWith('data'), objects)).toEqual([undefined, elsewhere])
    const anywhere = { claims: [boundClaim('data')], volumes: [volumeOf('data')] }
    expect(off(podWith('data'), anywhere)).toEqual([undefined, undefined])
  })

  test('goes by the volume’s zone labels, old and new, one or several', () => {
    const labelled = (labels: Record<string, string>) =>
      off(podWith('data'), { claims: [boundClaim('data')], volumes: [volumeOf('data', {}, labels)] })
    expect(labelled({ [zone]: 'b' })).toEqual([elsewhere, undefined])
    expect(labelled({ [zone]: 'a__b' })).toEqual([undefined, undefined])
    expect(labelled({ 'failure-domain.beta.kubernetes.io/zone': 'a' })).toEqual([undefined, elsewhere])
    expect(labelled({ 'topology.kubernetes.io/region': 'north' })).toEqual([elsewhere, elsewhere])
  })

  test('may be on a node that tells nothing of zones', () => {
    const objects = {
      claims: [boundClaim('data')],
      volumes: [volumeOf('data', {}, { [zone]: 'c' })],
      classes: [],
    }
    expect(new Volumes(objects, []).keepOff(podWith('data'), serverSample())).toBeUndefined()
  })

  test('has to have it really', () => {
    expect(off(podWith('data'), { claims: [boundClaim('data')] })[0]).toBe('volume data, which is not there')
    const prebound = claimOf('data', { volumeName: 'data', storageClassName: 'made' })
    expect(
      off(podWith('data'), {
        claims: [prebound],
        volumes: [volumeOf('data')],
        classes: [classOf('made')],
      })[0],
    ).toBe('volume claim data, which is not bound to a volume yet')
  })

  test('that one Pod may use at a time waits for that Pod, and for none of another namespace', () => {
    const claims = [boundClaim('data', { accessModes: ['ReadWriteOncePod'] })]
    const objects = { claims, volumes: [volumeOf('data')] }
    const user = boundSample('server-a', { name: 'user', spec: podWith('data').spec! })
    const kept = new Volumes({ classes: [], ...objects }, [user]).keepOff(podWith('data'), inA)
    expect(kept).toEqual({ isForGood: false, why: 'volume claim data, which one Pod may use at a time' })
    const other = { ...user, metadata: { ...user.metadata, namespace: 'lab' } }
    expect(off(podWith('data'), objects, [other])).toEqual([undefined, undefined])
    const shared = { claims: [boundClaim('data')], volumes: [volumeOf('data')] }
    expect(off(podWith('data'), shared, [user])).toEqual([undefined, undefined])
  })
})

describe('a claim that cannot be used', () => {
  test.each([
    ['is not there', []],
    ['has lost its volume', [claimOf('data', {}, { status: { phase: 'Lost' } })]],
    [
      'is being deleted',
      [claimOf('data', {}, { metadata: { namespace: 'shop', name: 'data', deletionTimestamp: 'now' } })],
    ],
    ['is not bound to a volume yet', [claimOf('data')]],
    ['is not bound to a volume yet', [claimOf('data', { storageClassName: 'at-once' })]],
  ])('%s: no node takes its Pod', (what, claims) => {
    const classes = [classOf('at-once', { volumeBindingMode: 'Immediate' })]
    expect(off(podWith('data'), { claims, classes })).toEqual(
      Array(2).fill(`volume claim data, which ${what}`),
    )
  })
})

describe('a claim that waits for its Pod', () => {
  const none = 'volume claim data, for which there can be no volume there'
  const waiting = claimOf('data', { storageClassName: 'free' })
  const free = classOf('free', { provisioner: 'kubernetes.io/no-provisioner' })

  function offFree(volume: PersistentVolume, claim = waiting): readonly (string | undefined)[] {
    return off(podWith('data'), { claims: [claim], volumes: [volume], classes: [free] })
  }

  test('goes where a free volume of its class is', () => {
    expect(offFree(volumeOf('one', { storageClassName: 'free', ...only(zone, 'b') }))).toEqual([
      none,
      undefined,
    ])
    expect(offFree(volumeOf('one', { storageClassName: 'other' }))).toEqual([none, none])
  })

  test.each([
    ['too small', { capacity: { storage: '900Mi' } }],
    ['a block device', { volumeMode: 'Block' }],
    ['of another access', { accessModes: ['ReadOnlyMany'] }],
    ['of other attributes', { volumeAttributesClassName: 'fast' }],
    ['somebody else’s', { claimRef: { namespace: 'shop', name: 'other' } }],
    [
      'that of a claim that was there before',
      { claimRef: { namespace: 'shop', name: 'data', uid: 'older' } },
    ],
  ])('not one that is %s', (_what, spec) => {
    expect(offFree(volumeOf('one', { storageClassName: 'free', ...spec }))).toEqual([none, none])
  })

  test('not one that is in use, on its way out, or not what it selects', () => {
    const one = volumeOf('one', { storageClassName: 'free' })
    expect(offFree({ ...one, status: { phase: 'Released' } })).toEqual([none, none])
    expect(offFree({ ...one, metadata: { name: 'one', deletionTimestamp: 'now' } })).toEqual([none, none])
    const choosy = claimOf('data', { storageClassName: 'free', selector: { matchLabels: { disk: 'ssd' } } })
    expect(offFree(one, choosy)).toEqual([none, none])
    expect(offFree({ ...one, metadata: { name: 'one', labels: { disk: 'ssd' } } }, choosy)).toEqual([
      undefined,
      undefined,
    ])
  })

  test('the one that was made for it, and no other', () => {
    const own = {
      storageClassName: 'free',
      claimRef: { namespace: 'shop', name: 'data' },
      ...only(zone, 'a'),
    }
    const volumes = [volumeOf('any', { storageClassName: 'free' }), volumeOf('own', own)]
    expect(off(podWith('data'), { claims: [waiting], volumes, classes: [free] })).toEqual([undefined, none])
  })

  test('two need two, the smaller claim first', () => {
    const claims = [
      claimOf('large', { storageClassName: 'free', resources: { requests: { storage: '5Gi' } } }),
      claimOf('small', { storageClassName: 'free' }),
    ]
    const sized = (name: string, storage: string): PersistentVolume =>
      volumeOf(name, { storageClassName: 'free', capacity: { storage } })
    const pod = podWith('large', 'small')
    const classes = [free]
    expect(off(pod, { claims, volumes: [sized('a', '8Gi')], classes })[0]).toContain('volume claim large')
    expect(off(pod, { claims, volumes: [sized('a', '8Gi'), sized('b', '1Gi')], classes })[0]).toBeUndefined()
    expect(off(pod, { claims, volumes: [sized('a', '2Gi'), sized('b', '1Gi')], classes })[0]).toContain(
      'large',
    )
  })

  test('may get one made for it, where its class allows', () => {
    const claims = [claimOf('data', { storageClassName: 'made' })]
    const only = (...values: string[]) => ({ matchLabelExpressions: [{ key: zone, values }] })
    const made = (allowedTopologies?: StorageClass['allowedTopologies']) =>
      off(podWith('data'), {
        claims,
        classes: [classOf('made', allowedTopologies ? { allowedTopologies } : {})],
      })
    expect(made()).toEqual([undefined, undefined])
    expect(made([only('b', 'c')])).toEqual([none, undefined])
    expect(made([only('a'), only('b')])).toEqual([undefined, undefined])
    expect(made([{}])).toEqual([none, none])
  })

  test('is kept to the node for which one is being made', () => {
    const metadata = {
      namespace: 'shop',
      name: 'data',
      annotations: { 'volume.kubernetes.io/selected-node': 'server-b' },
    }
    const claims = [claimOf('data', { storageClassName: 'made' }, { metadata })]
    expect(off(podWith('data'), { claims, classes: [classOf('made')] })).toEqual([
      'volume claim data, which is being bound on server-b',
      undefined,
    ])
  })
})

describe('a claim that comes with its Pod', () => {
  const volumes = [
    { name: 'tmp', ephemeral: { volumeClaimTemplate: { spec: { storageClassName: 'made' } } } },
  ]
  const pod = podSample({ spec: { volumes } })
  const { uid, ...unborn } = pod.metadata ?? {}
  const classes = [
    classOf('made', { allowedTopologies: [{ matchLabelExpressions: [{ key: zone, values: ['a'] }] }] }),
  ]

  test('is as its template says while the Pod is not there', () => {
    expect(off({ ...pod, metadata: unborn }, { classes })).toEqual([
      undefined,
      'volume claim web-1-tmp, for which there can be no volume there',
    ])
  })

  test('is waited for once the Pod is there, and has to be its own', () => {
    expect(off(pod, { classes })[0]).toBe('volume claim web-1-tmp, which is not there')
    const owned = (owner: string): PersistentVolumeClaim => {
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: 'web-1', uid: owner, controller: true }]
      return claimOf(
        'web-1-tmp',
        { storageClassName: 'made' },
        { metadata: { namespace: 'shop', name: 'web-1-tmp', ownerReferences } },
      )
    }
    expect(off(pod, { claims: [owned(uid ?? '')], classes })[0]).toBeUndefined()
    expect(off(pod, { claims: [owned('another')], classes })[0]).toBe(
      'volume claim web-1-tmp, which is not its own',
    )
  })
})
