import { describe, expect, it } from 'vitest'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { tencentEksIntl } from '../../src/billing/price-books/tencent-eks-intl-2023-06-30.ts'
import { hourlyPrice } from '../../src/billing/spending.ts'
import type { Container, Pod } from '../../src/model/kubernetes.ts'
import { formatDecimal, roundRational } from '../../src/model/money.ts'
import { chooseSpec, formatSpec, type Spec } from '../../src/model/spec.ts'

type Amounts = Record<string, string>

function container(requests: Amounts, limits: Amounts = {}, more: Partial<Container> = {}): Container {
  return { name: 'c', resources: { requests, limits }, ...more }
}

function podOf(containers: Container[], more: Partial<NonNullable<Pod['spec']>> = {}): Pod {
  return { metadata: { name: 'p', namespace: 'default', uid: 'u' }, spec: { containers, ...more } }
}

function tencent(pod: Pod): string {
  const choice = chooseSpec(pod, tencentEksIntl)
  return choice.ok ? formatSpec(choice.spec) : choice.error
}

describe('sizes by Tencent’s rules', () => {
  it('gives what Tencent’s page gives for its examples', () => {
    expect(tencent(podOf([container({ cpu: '1', memory: '2Gi' })]))).toBe('1 core, 2 GiB')
    const two = [
      container({ cpu: '2', memory: '4Gi' }, { cpu: '4', memory: '4Gi' }),
      container({ cpu: '1', memory: '2Gi' }, { cpu: '1', memory: '2Gi' }),
    ]
    expect(tencent(podOf(two))).toBe('4 cores, 8 GiB')
    expect(tencent(podOf([container({ memory: '8Gi' })]))).toBe('1 core, 8 GiB')
    expect(tencent(podOf([container({})]))).toBe('1 core, 2 GiB')
    const v100 = container({ cpu: '4', memory: '16Gi', 'nvidia.com/gpu': '1' }, { cpu: '8', memory: '32Gi' })
    expect(tencent(podOf([v100]))).toBe('8 cores, 40 GiB, 1 × V100')
    const half = container(
      { cpu: '16', memory: '64Gi', 'nvidia.com/gpu': '1' },
      { cpu: '32', memory: '128Gi', 'nvidia.com/gpu': '1' },
    )
    expect(tencent(podOf([half, half]))).toBe('36 cores, 160 GiB, 4 × V100')
  })

  it('counts the overhead of a RuntimeClass, but not in place of what is not asked for', () => {
    const overhead = { cpu: '10m', memory: '48Mi' }
    const asks = container({ cpu: '500m', memory: '1Gi' })
    expect(tencent(podOf([asks]))).toBe('0.5 cores, 1 GiB')
    expect(tencent(podOf([asks], { overhead }))).toBe('1 core, 2 GiB')
    expect(tencent(podOf([container({})], { overhead }))).toBe('1 core, 2 GiB')
    expect(chooseSpec(podOf([asks], { overhead }), tencentEksIntl).steps.slice(0, 2)).toEqual([
      'with the overhead of its RuntimeClass: cpu 10m, memory 48Mi',
      'asked for, as the larger of all requests together and the largest limit: 0.51 cores, 1072 MiB',
    ])
  })

  it.each([
    ['100m', '128Mi', '0.25 cores, 512 MiB', '0.0082098'],
    ['250m', '3Gi', '0.5 cores, 3 GiB', '0.0313452'],
    ['500m', '5Gi', '1 core, 5 GiB', '0.0552276'],
    ['1', '512Mi', '1 core, 1 GiB', '0.0253764'],
    ['1', '9Gi', '2 cores, 9 GiB', '0.1029924'],
    ['2', '2Gi', '2 cores, 4 GiB', '0.0656784'],
    ['3', '6Gi', '4 cores, 8 GiB', '0.1313568'],
    ['4', '33Gi', '12 cores, 33 GiB', '0.4612356'],
    ['8', '8Gi', '8 cores, 16 GiB', '0.2627136'],
    ['8', '40Gi', '12 cores, 40 GiB', '0.5134752'],
    ['9', '18Gi', '12 cores, 24 GiB', '0.3940704'],
    ['12', '60Gi', '16 cores, 60 GiB', '0.7343856'],
  ])('%s CPU and %s are %s, for %s an hour', (cpu, memory, size, hourly) => {
    const choice = chooseSpec(podOf([container({ cpu, memory })]), tencentEksIntl)
    if (!choice.ok) throw new Error(choice.error)
    expect(formatSpec(choice.spec)).toBe(size)
    const price = hourlyPrice(choice.spec, tencentEksIntl, 0)
    expect(formatDecimal(roundRational(price, 12, 'half_even'), 12)).toBe(hourly)
  })

  it('refuses what is larger than the table, with what there is', () => {
    for (const [cpu = '', memory = ''] of [
      ['16', '65Gi'],
      ['17', '32Gi'],
    ]) {
      expect(chooseSpec(podOf([container({ cpu, memory })]), tencentEksIntl)).toMatchObject({
        ok: false,
        error: expect.stringContaining('more than the largest size, 16 cores with 64 GiB'),
      })
    }
  })

  it('gives the cheapest cell that holds the Pod, for every Pod', () => {
    const { specTable } = tencentEksIntl
    if (specTable.kind !== 'stepped') throw new Error('the Tencent book has a table')
    const cells: Spec[] = specTable.rows.flatMap(({ cpuMillis, memoryMiB }) =>
      memoryMiB.map((memory) => ({ cpuMillis, memoryMiB: memory, gpus: 0n })),
    )
    let wrong = 0
    for (let cpu = 0; cpu <= 17_000; cpu += 250) {
      for (let memory = 0; memory <= 70 * 1024; memory += 512) {
        if (cpu === 0 && memory === 0) continue
        const choice = chooseSpec(
          podOf([container({ cpu: `${cpu}m`, memory: `${memory}Mi` })]),
          tencentEksIntl,
        )
        const best = cheapest(cells, cpu, memory)
        const found = choice.ok ? formatSpec(choice.spec) : undefined
        if (found !== (best && formatSpec(best))) wrong += 1
      }
    }
    expect(wrong).toBe(0)
  })

  it('counts sidecars with the containers, and init containers by themselves', () => {
    const main = container({ cpu: '1', memory: '1Gi' })
    const sidecar = container({ cpu: '1', memory: '1Gi' }, {}, { restartPolicy: 'Always' })
    const init = container({ cpu: '1', memory: '6Gi' })
    expect(tencent(podOf([main], { initContainers: [sidecar] }))).toBe('2 cores, 4 GiB')
    expect(tencent(podOf([main], { initContainers: [init] }))).toBe('1 core, 6 GiB')
  })

  it('takes both annotations in place of the requests, one alone not', () => {
    const prefix = 'eks.tke.cloud.tencent.com'
    const pod = podOf([container({ cpu: '1', memory: '2Gi' })])
    const annotated = (annotations: Amounts): Pod => ({ ...pod, metadata: { ...pod.metadata, annotations } })
    expect(tencent(annotated({ [`${prefix}/cpu`]: '8', [`${prefix}/mem`]: '16Gi' }))).toBe('8 cores, 16 GiB')
    expect(tencent(annotated({ [`${prefix}/cpu`]: '8' }))).toBe('1 core, 2 GiB')
    const wrong = chooseSpec(
      annotated({ [`${prefix}/cpu`]: 'many', [`${prefix}/mem`]: '16Gi' }),
      tencentEksIntl,
    )
    expect(wrong).toMatchObject({ ok: true, spec: { cpuMillis: 1000n } })
    expect(wrong.steps[0]).toContain('annotations not understood')
  })

  it('says each step that led to the size', () => {
    expect(chooseSpec(podOf([container({ cpu: '4', memory: '33Gi' })]), tencentEksIntl).steps).toEqual([
      'asked for, as the larger of all requests together and the largest limit: 4 cores, 33 GiB',
      '4 cores come with at most 32 GiB, less than 33 GiB: next CPU size',
      '8 cores come with at most 32 GiB, less than 33 GiB: next CPU size',
      'smallest size that holds it: 12 cores, 33 GiB',
    ])
  })
})

describe('sizes 1:1', () => {
  const flat = (pod: Pod): string => {
    const choice = chooseSpec(pod, flatDemo)
    return choice.ok ? formatSpec(choice.spec) : choice.error
  }

  it('are what the scheduler counts, memory in whole MiB', () => {
    expect(flat(podOf([container({ cpu: '1100m', memory: '1000000001' })]))).toBe('1.1 cores, 954 MiB')
    expect(flat(podOf([container({ cpu: '1', memory: '1Gi' }, { 'nvidia.com/gpu': '2' })]))).toBe(
      '1 core, 1 GiB, 2 × GPU',
    )
  })

  it('have a default for what is not asked for', () => {
    expect(flat(podOf([container({})]))).toBe('0.25 cores, 512 MiB')
    expect(flat(podOf([container({ cpu: '2' })]))).toBe('2 cores, 512 MiB')
  })
})

/** Looks at every cell, in micro-dollars per million seconds, so that integers do. */
function cheapest(cells: readonly Spec[], cpu: number, memory: number): Spec | undefined {
  let best: { cell: Spec; price: number } | undefined
  for (const cell of cells) {
    if (Number(cell.cpuMillis) < cpu || Number(cell.memoryMiB) < memory) continue
    const price = Number(cell.cpuMillis) * 1.024 * 4976 + Number(cell.memoryMiB) * 2073
    if (!best || price < best.price) best = { cell, price }
  }
  return best?.cell
}
