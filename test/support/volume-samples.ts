/** Volumes of all kinds for generated Pods, on a real control plane: whose place is told in the ways that there are. */
import fc from 'fast-check'
import type { KubeApi } from '../../src/kube/api.ts'
import { persistentVolumeClaims, persistentVolumes, storageClasses } from '../../src/kube/resources.ts'
import { assertNever } from '../../src/model/assert.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { PersistentVolume, PersistentVolumeClaim, Volume } from '../../src/model/kubernetes.ts'
import type { VolumeObjects } from '../../src/scheduling/volumes.ts'
import { until } from './until.ts'

const zone = 'topology.kubernetes.io/zone'

/** Of volumes that are there before their Pod. */
const where = fc.constantFrom('zone label', 'two zones', 'zone', 'zone', 'node', 'anywhere', 'anywhere')
type Where = ReturnType<typeof where.generate>['value']

export const someVolume = fc.record({
  kind: fc.constantFrom(
    'bound',
    'bound',
    'bound',
    'bound',
    'single',
    'missing',
    'unbound',
    'lost',
    'free',
    'free',
    'free',
    'made',
    'made',
    'made in zone a',
    'ephemeral',
  ),
  where,
  zone: fc.constantFrom('a', 'b'),
  node: fc.nat(11),
  /** Of a free one: whether it would do, but for its place. */
  suits: fc.constantFrom(
    'yes',
    'yes',
    'yes',
    'yes',
    'yes',
    'too small',
    'other mode',
    'other access',
    'taken',
  ),
})
export type SomeVolume = ReturnType<typeof someVolume.generate>['value']

/** Classes, and the claims that several Pods may use. */
export async function furnishVolumes(api: KubeApi, namespace: string, signal: AbortSignal): Promise<void> {
  const late = { volumeBindingMode: 'WaitForFirstConsumer' }
  const allowedTopologies = [{ matchLabelExpressions: [{ key: zone, values: ['a'] }] }]
  for (const storageClass of [
    { metadata: { name: 'free' }, provisioner: 'kubernetes.io/no-provisioner', ...late },
    { metadata: { name: 'made' }, provisioner: 'example.com/maker', ...late },
    { metadata: { name: 'made-in-a' }, provisioner: 'example.com/maker', ...late, allowedTopologies },
  ])
    await api.create(storageClasses, storageClass, signal)
  const volumes = new TestVolumes(api, namespace, signal)
  await volumes.bind('single', { at: 'anywhere', accessMode: 'ReadWriteOncePod' })
  await volumes.claim('unbound', { storageClassName: '' })
  await volumes.bind('lost', { at: 'anywhere' })
  // What is in use is protected, until somebody insists.
  const insist = { type: 'merge', body: { metadata: { finalizers: null } } } as const
  await volumes.remove(persistentVolumes, { name: 'lost' })
  await api.patch(persistentVolumes, { name: 'lost' }, insist, signal)
  await until('a claim has lost its volume', async () => (await volumes.phase('lost')) === 'Lost', signal)
}

interface Wish {
  readonly at: Where
  readonly zone?: string
  readonly node?: string
  readonly accessMode?: string
}

export class TestVolumes {
  readonly #api: KubeApi
  readonly #namespace: string
  readonly #signal: AbortSignal
  readonly #provisioned = new Set<string>()

  constructor(api: KubeApi, namespace: string, signal: AbortSignal) {
    this.#api = api
    this.#namespace = namespace
    this.#signal = signal
  }

  async objects(): Promise<VolumeObjects> {
    const [claims, volumes, classes] = await Promise.all([
      this.#api.list(persistentVolumeClaims, {}, this.#signal),
      this.#api.list(persistentVolumes, {}, this.#signal),
      this.#api.list(storageClasses, {}, this.#signal),
    ])
    return { claims: claims.items, volumes: volumes.items, classes: classes.items }
  }

  /** What a Pod of that name uses, made and, if it is to be, bound. */
  async make(name: string, made: SomeVolume): Promise<Volume> {
    const place = { at: made.where, zone: made.zone, node: `node-${made.node}` }
    const claimed = (claimName: string): Volume => ({ name: 'data', persistentVolumeClaim: { claimName } })
    switch (made.kind) {
      case 'single':
      case 'missing':
      case 'unbound':
      case 'lost':
        return claimed(made.kind)
      case 'bound':
        await this.bind(name, place)
        return claimed(name)
      case 'free':
        await this.#free(name, made, place)
        return claimed(name)
      case 'made':
      case 'made in zone a':
        await this.claim(name, { storageClassName: made.kind === 'made' ? 'made' : 'made-in-a' })
        return claimed(name)
      case 'ephemeral':
        return {
          name: 'data',
          ephemeral: { volumeClaimTemplate: { spec: claimSpec({ storageClassName: 'made' }) } },
        }
      default:
        return assertNever(made.kind, 'kind of volume')
    }
  }

  /** In place of every provisioner: makes what the scheduler has found a node for. */
  async provision(name: string): Promise<void> {
    for (const claimName of namesOf(name)) await this.#provision(claimName)
  }

  async #provision(claimName: string): Promise<void> {
    const claim = await this.#get(claimName)
    const node = claim?.metadata?.annotations?.['volume.kubernetes.io/selected-node']
    const { storageClassName = '', volumeName } = claim?.spec ?? {}
    // Until the claim is bound to what was made it looks as before.
    if (node === undefined || volumeName || this.#provisioned.has(claimName)) return
    this.#provisioned.add(claimName)
    const uid = claim?.metadata?.uid ?? ''
    await this.#volume(claimName, { at: 'node', node }, { storageClassName, ...this.#ref(claimName, uid) })
  }

  /** Its claim and its volume, once its Pod is gone. */
  async removeOf(name: string): Promise<void> {
    for (const claimName of namesOf(name)) {
      await this.remove(persistentVolumeClaims, { namespace: this.#namespace, name: claimName })
      await this.remove(persistentVolumes, { name: claimName })
    }
  }

  /** Once the claim is there that comes with a Pod: the scheduler refuses it before that, and looks again. */
  async whenCame(pod: string): Promise<void> {
    const isThere = async (): Promise<boolean> => (await this.#get(`${pod}-data`)) !== undefined
    await until(`the claim of ${pod} is there`, isThere, this.#signal)
  }

  async remove(
    resource: typeof persistentVolumeClaims | typeof persistentVolumes,
    object: { readonly name: string; readonly namespace?: string },
  ): Promise<void> {
    try {
      await this.#api.delete<PersistentVolumeClaim | PersistentVolume>(resource, object, {}, this.#signal)
    } catch (error) {
      if (!hasCode(error, 'NotFound')) throw error
    }
  }

  async claim(name: string, spec: ClaimWish): Promise<void> {
    const metadata = { namespace: this.#namespace, name }
    await this.#api.create(persistentVolumeClaims, { metadata, spec: claimSpec(spec) }, this.#signal)
  }

  async bind(name: string, wish: Wish): Promise<void> {
    await this.#volume(name, wish, this.#ref(name))
    await this.claim(name, { storageClassName: '', volumeName: name, accessMode: wish.accessMode })
    await until(`claim ${name} is bound`, async () => (await this.phase(name)) === 'Bound', this.#signal)
  }

  async phase(name: string): Promise<string | undefined> {
    return (await this.#get(name))?.status?.phase
  }

  async #free(name: string, { suits }: SomeVolume, wish: Wish): Promise<void> {
    const more = {
      storageClassName: 'free',
      ...(suits === 'too small' && { capacity: { storage: '512Mi' } }),
      ...(suits === 'other mode' && { volumeMode: 'Block' }),
      ...(suits === 'other access' && { accessModes: ['ReadOnlyMany'] }),
      ...(suits === 'taken' && this.#ref('somebody-else')),
    }
    await this.#volume(name, wish, more)
    await this.claim(name, { storageClassName: 'free' })
    const isSettled = async (): Promise<boolean> => {
      const { status } = await this.#api.get(persistentVolumes, { name }, this.#signal)
      return status?.phase === 'Available'
    }
    await until(`volume ${name} is available`, isSettled, this.#signal)
  }

  #ref(name: string, uid?: string): object {
    const claimRef = { kind: 'PersistentVolumeClaim', apiVersion: 'v1', namespace: this.#namespace, name }
    return { claimRef: { ...claimRef, ...(uid && { uid }) } }
  }

  async #volume(name: string, wish: Wish, more: object): Promise<void> {
    const accessModes = [wish.accessMode ?? 'ReadWriteOnce']
    const labels = labelsOf(wish)
    const common = {
      capacity: { storage: '1Gi' },
      accessModes,
      storageClassName: '',
      hostPath: { path: '/data' },
    }
    const spec = { ...common, persistentVolumeReclaimPolicy: 'Retain', ...affinityOf(wish), ...more }
    await this.#api.create(persistentVolumes, { metadata: { name, labels }, spec }, this.#signal)
  }

  async #get(name: string): Promise<PersistentVolumeClaim | undefined> {
    try {
      return await this.#api.get(persistentVolumeClaims, { namespace: this.#namespace, name }, this.#signal)
    } catch (error) {
      if (hasCode(error, 'NotFound')) return undefined
      throw error
    }
  }
}

/** Of the claim that was made for a Pod, or that came with it. */
function namesOf(pod: string): readonly string[] {
  return [pod, `${pod}-data`]
}

interface ClaimWish {
  readonly storageClassName: string
  readonly volumeName?: string
  readonly accessMode?: string | undefined
}

function claimSpec({
  accessMode = 'ReadWriteOnce',
  ...spec
}: ClaimWish): NonNullable<PersistentVolumeClaim['spec']> {
  return { accessModes: [accessMode], resources: { requests: { storage: '1Gi' } }, ...spec }
}

function labelsOf({ at, zone: name = '' }: Wish): Record<string, string> {
  if (at === 'zone label') return { [zone]: name }
  return at === 'two zones' ? { [zone]: 'a__b' } : {}
}

function affinityOf({ at, zone: name = '', node = '' }: Wish): object {
  const only = (key: string, value: string): object => {
    const nodeSelectorTerms = [{ matchExpressions: [{ key, operator: 'In', values: [value] }] }]
    return { nodeAffinity: { required: { nodeSelectorTerms } } }
  }
  if (at === 'zone') return only(zone, name)
  return at === 'node' ? only('kubernetes.io/hostname', node) : {}
}
