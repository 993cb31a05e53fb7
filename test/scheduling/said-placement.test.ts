import fc from 'fast-check'
import { expect, it } from 'vitest'
import { foreignWords } from '../../src/model/foreign-keys.ts'
import { saidPlacement } from '../../src/scheduling/said-placement.ts'
import { wantsVirtual } from '../../src/scheduling/placement.ts'
import { eligibility } from '../../src/scheduling/unschedulable.ts'
import { podSample } from './samples.ts'

const ours = 'spillway.dev/placement'
const eci = { 'alibabacloud.com/eci': 'true' }

interface Words {
  readonly labels?: Record<string, string>
  readonly annotations?: Record<string, string>
}

function said(pod: Words, namespace: Words = {}): string {
  const sample = podSample({ labels: pod.labels ?? {} })
  const { metadata } = sample
  const found = saidPlacement(
    { ...sample, metadata: { ...metadata, annotations: pod.annotations ?? {} } },
    { metadata: { name: 'shop', ...namespace } },
  )
  if (!found) return 'nothing'
  return found.kind === 'said' ? found.placement : found.kind
}

it('is what each product means by its words', () => {
  const label = (key: string, value: string): string => said({ labels: { [key]: value } })
  const annotation = (key: string, value: string): string => said({ annotations: { [key]: value } })
  expect(label('alibabacloud.com/eci', 'true')).toBe('virtual')
  expect(annotation('alibabacloud.com/burst-resource', 'eci')).toBe('auto')
  expect(annotation('alibabacloud.com/burst-resource', 'eci_only')).toBe('virtual')
  expect(annotation('alibabacloud.com/burst-resource', '')).toBe('server')
  for (const key of ['virtual-kubelet.io/burst-to-cci', 'bursting.cci.io/burst-to-cci']) {
    expect(['auto', 'localPrefer', 'enforce', 'off'].map((value) => label(key, value))).toEqual([
      'auto',
      'auto',
      'virtual',
      'server',
    ])
  }
  expect(annotation('virtual-kubelet.io/burst-to-cci', 'true')).toBe('auto')
  expect(annotation('AUTO_SCALE_EKS', 'false')).toBe('server')
  expect(annotation('AUTO_SCALE_EKS', 'true')).toBe('auto')
  expect(annotation('tke.cloud.tencent.com/vpc-ip-claim-delete-policy', 'Never')).toBe('server')
  expect(label('eks.amazonaws.com/fargate-profile', 'batch')).toBe('virtual')
  expect(annotation('eks.amazonaws.com/compute-type', 'ec2')).toBe('server')
  expect(annotation('vke.volcengine.com/burst-to-vci', 'enforce')).toBe('virtual')
})

it('is nothing where a word has a value that its product does not know, or stands where it does not look', () => {
  expect(said({ labels: { 'alibabacloud.com/eci': 'yes' } })).toBe('nothing')
  expect(said({ labels: { 'bursting.cci.io/burst-to-cci': 'constructor' } })).toBe('nothing')
  expect(said({ annotations: eci })).toBe('nothing')
  expect(said({ labels: { AUTO_SCALE_EKS: 'false' } })).toBe('nothing')
  expect(said({}, { annotations: { 'alibabacloud.com/burst-resource': 'eci_only' } })).toBe('nothing')
})

it('is by our label wherever there is one, of the Pod before its namespace', () => {
  expect(said({ labels: { ...eci, [ours]: 'server' } })).toBe('server')
  expect(said({ labels: eci }, { labels: { [ours]: 'auto' } })).toBe('auto')
  expect(said({ labels: { [ours]: 'virtual' } }, { labels: { [ours]: 'server' } })).toBe('virtual')
  expect(said({ labels: { ...eci, [ours]: 'nonsense' } })).toBe('unreadable')
  expect(said({ labels: { ...eci, [ours]: '' } })).toBe('unreadable')
})

it('is by other products’ words of the Pod before one of its namespace', () => {
  expect(said({}, { labels: eci })).toBe('virtual')
  expect(said({ labels: { 'bursting.cci.io/burst-to-cci': 'auto' } }, { labels: eci })).toBe('auto')
  expect(said({ labels: { 'alibabacloud.com/eci': 'no' } }, { labels: eci })).toBe('virtual')
})

it('keeps in, among several words of others', () => {
  const off = { 'bursting.cci.io/burst-to-cci': 'off' }
  expect(said({ labels: { ...eci, ...off } })).toBe('server')
  expect(said({ labels: eci, annotations: { AUTO_SCALE_EKS: 'true' } })).toBe('virtual')
})

it('is what overflow goes by, and what it says', () => {
  const pod = podSample({ labels: eci })
  const shop = { metadata: { name: 'shop', labels: { 'bursting.cci.io/burst-to-cci': 'off' } } }
  expect(wantsVirtual(pod, shop)).toBe(true)
  expect(eligibility(pod, shop)).toEqual({
    kind: 'candidate',
    placement: 'virtual',
    labelled: true,
    because: 'label alibabacloud.com/eci=true (Alibaba ECI) of the Pod says virtual',
  })
  const kept = podSample({ labels: { 'virtual-kubelet.io/burst-to-cci': 'off' } })
  expect(eligibility(kept, shop)).toEqual({
    kind: 'never',
    because: 'label virtual-kubelet.io/burst-to-cci=off (Huawei CCI) of the Pod says server',
  })
  expect(wantsVirtual(podSample({ labels: eci, namespace: 'kube-system' }), undefined)).toBe(false)
  expect(wantsVirtual(podSample({ labels: eci, owner: 'DaemonSet' }), undefined)).toBe(false)
})

it('never depends on the order of words, and never leaves our label’s answer', () => {
  const words = foreignWords.flatMap(({ at, keys, meaning }) =>
    meaning.kind === 'placement' && at === 'label'
      ? keys.flatMap((key) => [...Object.keys(meaning.values), 'no'].map((value) => [key, value] as const))
      : [],
  )
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.constantFrom(...words), { selector: ([key]) => key, maxLength: 5 }),
      fc.constantFrom('auto', 'virtual', 'server'),
      (some, own) => {
        const labels = Object.fromEntries(some)
        expect(said({ labels: Object.fromEntries(some.toReversed()) })).toBe(said({ labels }))
        expect(said({ labels: { ...labels, [ours]: own } })).toBe(own)
        expect(said({ labels }, { labels: { [ours]: own } })).toBe(own)
      },
    ),
  )
})
