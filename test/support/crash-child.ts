/**
 * The straight line of one Pod in a process of its own, for a parent that kills it at any point: the real worker, meter,
 * orphan sweep and ledger. Backend and API server live in the parent and outlive it: node crash-child.ts LEDGER-JSON
 */
import type { Backend, BackendEvent } from '../../src/backends/backend.ts'
import type { LedgerStore } from '../../src/billing/ledger.ts'
import { openMeter } from '../../src/billing/meter.ts'
import { shippedPriceBooks } from '../../src/billing/shipped-price-books.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { podFeatures, type Capabilities } from '../../src/model/capability.ts'
import type { Clock } from '../../src/model/clock.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { asPodUid, type PodUid } from '../../src/model/pod-key.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { DesiredPods } from '../../src/pods/desired-pods.ts'
import { Observations } from '../../src/pods/observations.ts'
import { Orphans } from '../../src/pods/orphans.ts'
import { PodWorker } from '../../src/pods/pod-worker.ts'
import { sandboxRules } from '../../src/pods/sandbox-rules.ts'
import { StatusReporter } from '../../src/pods/status-reporter.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { aHandler, aNode } from './builders.ts'
import { openCrashLedger, type CrashLedger } from './crash-ledger.ts'
import type { OutsideCall, ToChild, ToParent } from './crash-protocol.ts'
import { FakePodSources } from './pod-sources.ts'

const { signal } = new AbortController()
const node = { pool: 'burst', node: 'burst-0', priceBook: 'flat-demo' }
const time = { nowMs: 0 }
const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
let lastId = 0

const clock: Clock = {
  wallMs: () => time.nowMs,
  monotonicMs: () => time.nowMs,
  sleep: () => new Promise(() => undefined),
  timer: () => () => undefined,
}

function say(message: ToParent): void {
  process.send?.(message)
}

async function ask(message: (id: number) => Extract<ToParent, { kind: 'point' | 'call' }>): Promise<unknown> {
  lastId += 1
  const id = lastId
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  waiting.set(id, { resolve, reject })
  say(message(id))
  return await promise
}

/** Something that lasts: the parent may kill before and after it. */
async function lasting<T>(what: string, action: () => Promise<T>): Promise<T> {
  await ask((id) => ({ kind: 'point', id, phase: 'before', what }))
  const value = await action()
  await ask((id) => ({ kind: 'point', id, phase: 'after', what }))
  return value
}

async function outside(what: OutsideCall, args: unknown): Promise<unknown> {
  return await lasting(what, () => ask((id) => ({ kind: 'call', id, what, args })))
}

function counted(ledger: LedgerStore): LedgerStore {
  return new Proxy(ledger, {
    get: (target, key) => {
      if (key === 'append') {
        return (...args: Parameters<LedgerStore['append']>) =>
          lasting(`append ${args[0].map(({ fact }) => fact.kind).join(' ')}`, () => target.append(...args))
      }
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
  })
}

const news: BackendEvent[] = [{ kind: 'synced' }]
let wake = (): void => undefined
let seen: PodObservation | undefined

const backend = {
  name: 'outside',
  kind: 'outside',
  capabilities: (): Capabilities => ({
    features: new Set(podFeatures),
    sandboxHandlers: [aHandler()],
    defaultHandler: { name: '' },
    linuxCapabilities: [],
    sysctls: [],
  }),
  start: async (pod: Pod) => void (await outside('start', pod)),
  update: async (pod: Pod) => void (await outside('update', pod)),
  stop: async (uid: PodUid) => void (await outside('stop', uid)),
  forget: async (uid: PodUid) => void (await outside('forget', uid)),
  list: () => Promise.resolve(seen ? [seen] : []),
  async *watch() {
    for (;;) {
      const next = news.shift()
      if (next) yield next
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  },
} as unknown as Backend

const api = {
  patch: async (_resource: unknown, _target: unknown, { body }: { body: unknown }) =>
    await outside('patch', body),
  delete: async () => void (await outside('delete', undefined)),
  get: async () => await outside('get', undefined),
} as unknown as KubeApi

const store = new ObjectStore<Pod>({ log: silentLog() })
const desired = new DesiredPods(store, () => undefined)
const observations = new Observations({ changed: () => undefined, happened: () => undefined })
void observations.follow(backend, signal)

async function look(
  { worker, orphans }: { worker: PodWorker; orphans: Orphans },
  { nowMs, pod, observed }: Extract<ToChild, { kind: 'look' }>,
): Promise<void> {
  time.nowMs = nowMs
  store.replaceAll(pod ? [pod] : [])
  if (observed) news.push({ kind: 'observed', pod: observed })
  else if (seen) news.push({ kind: 'gone', uid: seen.uid })
  seen = observed
  wake()
  // The watch takes it up before anybody looks.
  await new Promise((resolve) => setImmediate(resolve))
  const uid = pod?.metadata?.uid ?? observed?.uid
  if (uid !== undefined) lastUid = asPodUid(uid)
  await orphans.sweep(signal)
  if (lastUid !== undefined) await worker.syncPod(lastUid, signal)
}
let lastUid: PodUid | undefined

async function begin(): Promise<{ worker: PodWorker; orphans: Orphans }> {
  const ledger = counted(await openCrashLedger(JSON.parse(process.argv[2] ?? '') as CrashLedger))
  const log = silentLog()
  const meter = await openMeter(
    { ledger, books: shippedPriceBooks, clusterUid: 'c1', clock, log, nodeFacts: () => node },
    signal,
  )
  const worker = new PodWorker({
    backend,
    desired,
    observations,
    sources: () => new FakePodSources(),
    sandboxes: sandboxRules({ backend, choice: () => undefined, runtimeClasses: { get: () => undefined } }),
    changed: () => undefined,
    settled: () => undefined,
    node: () => aNode({ name: 'burst-0' }),
    neighbours: () => [],
    policy: [],
    budget: () => undefined,
    preempt: () => Promise.resolve(),
    metered: () => node,
    meter,
    reporter: new StatusReporter({ api, nodeIps: ['10.0.0.1'], clock }),
    recordEvent: () => undefined,
    clock,
    log,
  })
  const orphans = new Orphans({
    backend,
    desiredOf: () => desired,
    api,
    clock,
    log,
    confirmed: () => undefined,
    halted: () => undefined,
  })
  return { worker, orphans }
}

let begun: Awaited<ReturnType<typeof begin>> | undefined
process.on('message', (message: ToChild) => {
  if (message.kind === 'answer') {
    const { id, value, error } = message
    if (error) waiting.get(id)?.reject(new SpillwayError(error.code, error.message))
    else waiting.get(id)?.resolve(value)
    waiting.delete(id)
    return
  }
  if (!begun) throw new Error('told to look before it was ready')
  void look(begun, message).then(() => say({ kind: 'looked' }))
})
begun = await begin()
say({ kind: 'ready' })
