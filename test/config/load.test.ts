import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { loadConfig, type ConfigOverrides } from '../../src/config/load.ts'
import { writePriceBook } from '../../src/config/price-book.ts'
import { errorMessage } from '../../src/model/errors.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const smallest = `
nodeApi: { address: 10.0.0.1 }
backends: [{ name: local, kind: cri, options: { endpoint: /run/containerd.sock } }]
pools: [{ name: burst, backend: local, replicas: 2, capacity: { cpu: 8, memory: 16Gi } }]
`

function load(text: string, flags: ConfigOverrides = {}, environment: Record<string, string> = {}) {
  const file = join(folder, 'spillway.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, flags, environment })
}

function problemsOf(text: string): string {
  try {
    load(text)
  } catch (error) {
    return errorMessage(error)
  }
  throw new Error('the configuration was accepted')
}

describe('the configuration', () => {
  test('fills in what is left out', () => {
    const config = load(smallest)
    expect(config).toMatchObject({
      clusterName: 'default',
      stateDir: '/var/lib/spillway/default',
      ledger: { kind: 'sqlite', file: '/var/lib/spillway/default/ledger.db' },
      nodeApi: { address: '10.0.0.1', firstPort: 10260 },
      nodeIdentity: { kind: 'impersonate' },
      clusterDns: ['10.96.0.10'],
      admissionWebhook: { address: '10.0.0.1', port: 9443 },
      overflow: { enabled: true, deletionCost: -1000 },
    })
    expect(config.pools[0]).toMatchObject({
      name: 'burst',
      replicas: 2,
      capacity: { cpuMillis: 8000n, memoryBytes: 16n * 1024n ** 3n, pods: 110 },
      priceBook: 'tencent-eks-intl-2023-06-30',
      purchase: 'on-demand',
    })
  })

  test('flags beat the environment, which beats the file', () => {
    const text = `clusterName: file\n${smallest}`
    expect(load(text).clusterName).toBe('file')
    expect(load(text, {}, { SPILLWAY_CLUSTER_NAME: 'environment' }).clusterName).toBe('environment')
    expect(load(text, { clusterName: 'flag' }, { SPILLWAY_CLUSTER_NAME: 'environment' }).clusterName).toBe(
      'flag',
    )
  })

  test('tells every mistake at once, each with its field', () => {
    const problems = problemsOf(`
      nodeApi: { address: "not an address", color: red }
      backends: [{ name: local, kind: podman }]
      pools: [{ name: Burst, backend: local, replicas: -1 }]
      admissionWebhook: { address: example.com, port: 0 }
      colour: red
    `)
    expect(problems).toContain('colour: unknown field; allowed here: clusterName, kubeconfig')
    expect(problems).toContain('nodeApi.color: unknown field; allowed here: address, firstPort, clientCa')
    expect(problems).toContain('nodeApi.address: found "not an address"')
    expect(problems).toContain('backends[0].kind: found "podman"; allowed: "cri", "simulator"')
    expect(problems).toContain('pools[0].replicas: found -1; it must be >= 0')
    expect(problems).toContain('pools[0].name: found "Burst"')
    expect(problems).toContain('admissionWebhook.address: found "example.com"')
    expect(problems).toContain('admissionWebhook.port: found 0; it must be >= 1')
  })

  test('never repeats the password of a URL, wherever it stands', () => {
    const url = 'postgresql://me:geheim@db/money'
    for (const ledger of [`{ postgres: { url: "${url}" } }`, `{ postgres: "${url}" }`, `"${url}"`]) {
      const problems = problemsOf(`${smallest}ledger: ${ledger}`)
      expect(problems).toContain('ledger')
      expect(problems).not.toContain('geheim')
    }
  })

  test('names a missing field', () => {
    expect(problemsOf('pools: [{ name: a, backend: b }]\nbackends: [{ name: b, kind: cri }]')).toContain(
      'nodeApi: missing',
    )
  })

  test('a pool names a backend that exists', () => {
    expect(problemsOf(smallest.replace('backend: local', 'backend: other'))).toContain(
      'pools[0].backend: found "other"; allowed: local',
    )
  })

  test('a pool that no node could be made of is refused, field by field', () => {
    const pool = (fields: string) => problemsOf(smallest.replace('replicas: 2,', `${fields},`))
    expect(pool('autoscale: { minNodes: 3, maxNodes: 2 }')).toContain(
      'pools[0].autoscale.minNodes: found 3; allowed: at most maxNodes, 2',
    )
    expect(pool('budget: { currency: USD }')).toContain(
      'pools[0].budget: found no cap; allowed: at least one of perHour, perDay and perMonth',
    )
    expect(pool('budget: { currency: USD, perDay: 5 }')).toContain('pools[0].budget.perDay')
    expect(pool('labels: { "a b": c }')).toContain('pools[0].labels: found key "a b"; allowed: label keys')
    const builtIn = 'taints: [{ key: spillway.dev/virtual-node, effect: NoSchedule }]'
    expect(pool(builtIn)).toContain('pools[0].taints[0].key: found "spillway.dev/virtual-node"')
    const twice = 'taints: [{ key: a, effect: NoSchedule }, { key: a, value: b, effect: NoSchedule }]'
    expect(pool(twice)).toContain('pools[0].taints[1]: found key "a" with effect NoSchedule twice')
    const long = problemsOf(smallest.replace('name: burst', `name: ${'b'.repeat(59)}`))
    expect(long).toContain('pools[0].name: found')
    expect(problemsOf(smallest.replace('cpu: 8', 'cpu: 1.2.3'))).toContain(
      'pools[0].capacity.cpu: found "1.2.3"',
    )
  })

  test('a drained pool is a cordoned one', () => {
    const { pools } = load(smallest.replace('replicas: 2', 'drained: true'))
    expect(pools[0]).toMatchObject({ drained: true, cordoned: true, drainTimeoutSeconds: 300 })
  })

  test('names are given once', () => {
    const twice = smallest.replace('pools: [', 'pools: [{ name: burst, backend: local }, ')
    expect(problemsOf(twice)).toContain('pools[1].name: "burst" is taken already')
  })

  test('price books are read from where it is, and what is wrong with them is told with the rest', () => {
    const named = `priceBooks: [prices]\n${smallest}`
    mkdirSync(join(folder, 'prices'))
    const book = writePriceBook({ ...flatDemo, id: 'ours' })
    writeFileSync(join(folder, 'prices/ours.yaml'), stringify(book))
    expect(load(named).priceBooks).toEqual([{ ...flatDemo, id: 'ours' }])
    writeFileSync(join(folder, 'prices/ours.yaml'), stringify({ ...book, currency: 'dollars' }))
    const wrong = problemsOf(named.replace('name: burst, backend: local', 'name: burst, backend: other'))
    expect(wrong).toContain('pools[0].backend: found "other"')
    expect(wrong).toMatch(/priceBooks\[0\]: .*ours\.yaml: currency: found "dollars"/)
  })

  test('a file that is not there or not YAML is named', () => {
    expect(() => loadConfig({ file: join(folder, 'none.yaml'), flags: {}, environment: {} })).toThrow(
      'none.yaml: cannot be read',
    )
    expect(problemsOf('a: [')).toContain('spillway.yaml')
  })
})
