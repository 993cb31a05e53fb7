import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tencentEksIntl as book } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import type { Namespace, Pod } from '../../src/model/kubernetes.ts'
import { chooseSpec } from '../../src/model/spec.ts'
import { foreignWords, tkeSize, type ForeignWords } from '../../src/model/foreign-keys.ts'
import { foreignSpelling, type SpellingLine } from '../../src/scheduling/foreign-spelling.ts'
import { saidPlacement } from '../../src/scheduling/said-placement.ts'
import { podSample } from './samples.ts'

interface Words {
  readonly labels?: Record<string, string>
  readonly annotations?: Record<string, string>
  readonly spec?: Pod['spec'] extends infer S | undefined ? Partial<S> : never
}

function podWith({ labels = {}, annotations = {}, spec = {} }: Words): Pod {
  const sample = podSample({ labels, spec })
  return { ...sample, metadata: { ...sample.metadata, annotations } }
}

function lines(words: Words, namespace?: Namespace): readonly string[] {
  return foreignSpelling(podWith(words), namespace).map(describeLine)
}

function describeLine({ product, word, becomes, says }: SpellingLine): string {
  return `${product}: ${word}: ${becomes}: ${says}`
}

/** A Pod that has the one word, as a manifest of its product would. */
function saying(at: ForeignWords['at'], key: string, value: string): Words {
  switch (at) {
    case 'label':
      return { labels: { [key]: value } }
    case 'annotation':
      return { annotations: { [key]: value } }
    case 'node selector':
      return { spec: { nodeSelector: { [key]: value } } }
    case 'toleration':
      return { spec: { tolerations: [{ key, operator: 'Exists' }] } }
    case 'scheduler':
      return { spec: { schedulerName: key } }
  }
}

/** The annotations that the products’ own documentation lists, apart from those about placement. */
const documented = {
  'eks.tke.cloud.tencent.com/': `cpu mem cpu-type gpu-type gpu-count root-cbs-size spec-auto-upgrade spot-pod retain-ip
    retain-ip-hours eip-attributes eip-claim-delete-policy eip-id-list security-group-id role-name
    registry-insecure-skip-verify registry-http-endpoint cbs-reuse-key not-reuse-cbs use-image-cache
    image-cache-disk-type image-cache-disk-size image-cache-disk-retain-minute host-sysctls host-modprobe host-timezone
    resolv-conf recreate-node-lost-pod heartbeat-lost-period image-gc-high-threshold image-gc-low-threshold
    image-gc-period container-gc-threshold must-keep-last-container pod-eviction-threshold metrics-port
    cri-stats-interval custom-metrics-url log-key-as-message filebeat-metadata-format reserve-sandbox-duration
    reserve-succeeded-sandbox reserve-task-shorter-than cluster-ip-switch duration-to-wait-service-rules ipvs-scheduler
    ipvs-sh-port ipvs-sync-period ipvs-min-sync-period ipvs-udp-timeout ipvs-tcp-timeout ds-injection
    ds-inject-by-label eklet-version resource-tag spread-placement-group-id`,
  'internal.eks.tke.cloud.tencent.com/': 'tail-buffer-max-size pod-eth-idx',
  'k8s.aliyun.com/': `eci-security-group eci-vswitch eci-schedule-strategy eci-ram-role-name eci-use-specs
    eci-spot-strategy eci-spot-price-limit eci-cpu-option-core eci-cpu-option-ht eci-reschedule-enable
    pod-fail-on-create-err eci-image-snapshot-id eci-image-cache acr-instance-id eci-eip-instanceid eci-with-eip
    eip-bandwidth eip-common-bandwidth-package-id eip-isp eip-internet-charge-type eci-enable-ipv6
    eci-ipv6-bandwidth-enable eci-ipv6-bandwidth eci-extra-ephemeral-storage eci-eviction-enable eci-core-pattern
    eci-ntp-server plain-http-registry insecure-registry eci-fixed-ip eci-fixed-ip-retain-hour`,
}

describe('what becomes of a word', () => {
  it('is written down for each word of each product', async () => {
    const all = foreignWords.flatMap(({ at, keys, value, meaning }) => {
      const only = meaning.kind === 'billed' ? meaning.value : value
      const values = meaning.kind === 'placement' ? Object.keys(meaning.values) : [only ?? '1']
      return keys.flatMap((key) => values.flatMap((one) => lines(saying(at, key, one))))
    })
    await expect(`${all.join('\n')}\n`).toMatchFileSnapshot('golden/foreign-spelling.txt')
  })

  it('is told by the guide, in the row of its product', () => {
    const guide = readFileSync(new URL('../../docs/guides/coming-from.md', import.meta.url), 'utf8')
    const sections = guide.split(/^## /m)
    const isFor = {
      placement: /placement/,
      size: /billed/,
      billed: /billed/,
      needless: /not needed/,
      lost: /lost/,
    }
    const missing = foreignWords.flatMap(({ product, at, keys, meaning }) => {
      const section = sections.find((text) => text.startsWith(product)) ?? sections.at(-1) ?? ''
      const rows = section.split('\n').map((line) => line.split(' | '))
      const place = at === 'annotation' || at === 'label' ? '' : at
      return keys.filter((key) => {
        const names = [`\`${key}\``, `\`${key.split('/').at(-1)}\``]
        return !rows.some(
          ([theirs = '', here = '']) =>
            names.some((name) => theirs.includes(name)) &&
            theirs.includes(place) &&
            isFor[meaning.kind].test(here),
        )
      })
    })
    expect(missing).toEqual([])
  })

  it('is known for everything that the products’ documentation lists', () => {
    const names = Object.entries(documented).flatMap(([prefix, text]) =>
      text.split(/\s+/).map((name) => `${prefix}${name}`),
    )
    const unknown = names.filter((key) => {
      const told = lines(saying('annotation', key, '1'))
      return told.length === 0 || told.some((line) => line.includes('is known here'))
    })
    expect(unknown).toEqual([])
  })

  it('is lost for what begins like a product’s and is not known', () => {
    expect(lines({ annotations: { 'eks.tke.cloud.tencent.com/new-thing': 'x' } })).toEqual([
      'Tencent TKE: annotation eks.tke.cloud.tencent.com/new-thing=x: lost: no such annotation is known here',
    ])
    expect(lines({ labels: { 'eks.tke.cloud.tencent.com/spot-pod': 'true' } })).toEqual([
      expect.stringContaining('lost: no such label is known here'),
    ])
  })

  it('is nothing for a Pod that speaks of nothing but Kubernetes and us', () => {
    const annotations = { 'controller.kubernetes.io/pod-deletion-cost': '1', 'k8s.aliyun.com/other': 'x' }
    const spec = { schedulerName: 'default-scheduler', nodeSelector: { type: 'virtual-kubelet' } }
    expect(lines({ annotations, labels: { 'spillway.dev/placement': 'virtual' }, spec })).toEqual([])
  })

  it('is not lost where it says no, unless that asks for something', () => {
    const saysNo = (key: string): readonly string[] => lines({ annotations: { [key]: 'false' } })
    for (const key of ['eks.tke.cloud.tencent.com/spot-pod', 'eks.tke.cloud.tencent.com/retain-ip']) {
      expect(saysNo(key)).toEqual([`Tencent TKE: annotation ${key}=false: needless: it asks for nothing`])
    }
    expect(saysNo('eks.tke.cloud.tencent.com/recreate-node-lost-pod')[0]).toContain(': lost: ')
  })

  it('shows a long value by its beginning', () => {
    const long = JSON.stringify([{ name: 'net.core.somaxconn', value: '100' }])
    const [line] = lines({ annotations: { 'eks.tke.cloud.tencent.com/host-sysctls': long } })
    expect(line).toContain(`host-sysctls=${long.slice(0, 40)}…:`)
  })
})

describe('a word about placement', () => {
  const eci = { 'alibabacloud.com/eci': 'true' }

  it('counts for the Pods of a namespace, too', () => {
    expect(lines({}, { metadata: { name: 'shop', labels: eci } })).toEqual([
      'Alibaba ECI: label alibabacloud.com/eci=true of the namespace: translated: placement virtual',
    ])
    const cci = { 'virtual-kubelet.io/burst-to-cci': 'enforce' }
    expect(lines({}, { metadata: { name: 'shop', labels: cci } })).toEqual([])
  })

  it('is not needed where another one counts, which is named', () => {
    expect(lines({ labels: { ...eci, 'spillway.dev/placement': 'server' } })).toEqual([
      'Alibaba ECI: label alibabacloud.com/eci=true: needless: ' +
        'another one counts: label spillway.dev/placement of the Pod says server',
    ])
    expect(lines({ labels: { ...eci, 'bursting.cci.io/burst-to-cci': 'off' } })).toEqual([
      expect.stringContaining(
        'needless: another one counts: label bursting.cci.io/burst-to-cci=off (Huawei CCI)',
      ),
      expect.stringContaining('translated: placement server'),
    ])
  })

  it('is lost with a value that its product does not know', () => {
    expect(lines({ labels: { 'alibabacloud.com/eci': 'yes' } })).toEqual([
      'Alibaba ECI: label alibabacloud.com/eci=yes: lost: it means something as true only',
    ])
  })

  it('is said to be translated exactly when overflow goes by it', () => {
    const words = foreignWords.flatMap(({ at, keys, meaning }) =>
      meaning.kind === 'placement'
        ? keys.flatMap((key) => [...Object.keys(meaning.values), 'no'].map((value) => ({ at, key, value })))
        : [],
    )
    const own = fc.constantFrom(undefined, 'auto', 'virtual', 'server', 'nonsense')
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 4 }), own, (some, ours) => {
        const at = (place: string): Record<string, string> =>
          Object.fromEntries(some.filter((one) => one.at === place).map(({ key, value }) => [key, value]))
        const mine = ours === undefined ? {} : { 'spillway.dev/placement': ours }
        const pod = podWith({ labels: { ...at('label'), ...mine }, annotations: at('annotation') })
        const said = saidPlacement(pod, undefined)
        const told = foreignSpelling(pod, undefined)
        const translated = told.filter(({ becomes }) => becomes === 'translated').map(({ says }) => says)
        const counts = said?.kind === 'said' ? `placement ${said.placement}` : undefined
        expect(translated.every((says) => says === counts)).toBe(true)
        // Somebody's word is translated whenever nobody says it in ours.
        if (ours === undefined) expect(translated.length > 0).toBe(counts !== undefined)
      }),
    )
  })
})

describe('what TKE’s annotations say of hardware and purchase', () => {
  const billed = (annotations: Record<string, string>): unknown =>
    chooseSpec(podWith({ annotations }), book).spec
  const tke = (name: string, value: string): Record<string, string> => ({
    [`eks.tke.cloud.tencent.com/${name}`]: value,
  })

  it('is translated where the Tencent book bills by it, and only there', () => {
    expect(lines({ annotations: tke('spot-pod', 'true') })).toEqual([
      expect.stringContaining('translated: billed by spot prices'),
    ])
    expect(billed(tke('spot-pod', 'true'))).toMatchObject({ purchase: 'spot' })
    expect(lines({ annotations: tke('spot-pod', 'yes') })).toEqual([
      expect.stringContaining('lost: it means something as true only'),
    ])
    expect(billed(tke('spot-pod', 'yes'))).not.toMatchObject({ purchase: 'spot' })
  })

  it('is billed of a processor, which the pool’s machine need not have', () => {
    expect(lines({ annotations: tke('cpu-type', 'amd') }).map((line) => line.split(': ')[2])).toEqual([
      'translated',
      'lost',
    ])
    expect(billed(tke('cpu-type', 'amd'))).toMatchObject({ cpuType: 'AMD' })
  })
})

describe('a size that TKE’s annotations state', () => {
  const size = (cpu?: string, memory?: string): Words => ({
    annotations: {
      ...(cpu !== undefined && { [tkeSize.cpu]: cpu }),
      ...(memory !== undefined && { [tkeSize.memory]: memory }),
    },
  })

  it('is what the Tencent book bills; the room goes by the requests, which is said', () => {
    const words = size('8', '16Gi')
    expect(chooseSpec(podWith(words), book)).toMatchObject({
      spec: { cpuMillis: 8000n, memoryMiB: 16_384n },
    })
    expect(lines(words).map((line) => line.split(': ').slice(2).join(': '))).toEqual([
      'translated: the size that is billed where the price book is Tencent’s: 8 cores, 16 GiB',
      'lost: room on a node, and other price books, go by the requests: state it in resources',
    ])
  })

  it('is all there when the requests are as large', () => {
    const requests = { cpu: '8', memory: '16Gi' }
    const spec = { containers: [{ name: 'web', resources: { requests } }] }
    expect(lines({ ...size('8', '16Gi'), spec }).map((line) => line.split(': ')[2])).toEqual(['translated'])
  })

  it('counts by halves neither in the bill nor here', () => {
    const bare = chooseSpec(podWith({}), book)
    expect(chooseSpec(podWith(size('8')), book)).toEqual(bare)
    expect(lines(size('8'))[0]).toContain(`lost: it counts only together with ${tkeSize.memory}`)
    expect(lines(size(undefined, '16Gi'))[0]).toContain(`lost: it counts only together with ${tkeSize.cpu}`)
  })

  it('is lost when it cannot be read, here as in the bill', () => {
    const words = size('8', '512 MiB')
    const choice = chooseSpec(podWith(words), book)
    expect(choice.steps[0]).toContain('annotations not understood')
    expect(lines(words)[0]).toContain('lost: "512 MiB" is not a Kubernetes quantity')
  })

  it('is stated by the two keys that the book reads', () => {
    expect(book.specTable).toMatchObject({ annotations: tkeSize })
  })
})
