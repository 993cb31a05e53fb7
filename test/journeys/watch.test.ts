import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { jitteredBackoff } from '../../src/control/backoff.ts'
import type { KubeApi, StoreChange, WatchEvent } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { reflect } from '../../src/kube/reflector.ts'
import { configMaps, namespaces } from '../../src/kube/resources.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode, SpillwayError } from '../../src/model/errors.ts'
import type { ConfigMap, KubeObject } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'

const never = new AbortController().signal
const namespace = 'watched'
const patience = { timeout: 30_000 }

let plane: TestControlPlane
/** The writer's; the reflector under test has one of its own. */
let writer: KubeApi & { close(): Promise<void> }
const cleanups: (() => Promise<void>)[] = []

beforeAll(async () => {
  // Old versions are to be gone within seconds, as they are within minutes on a real cluster.
  const extraArguments = { 'kube-apiserver': ['--etcd-compaction-interval=1s'] }
  plane = await startTestControlPlane({ extraArguments })
  writer = newClient({})
  await writer.create(namespaces, { metadata: { name: namespace } }, never)
})

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

afterAll(async () => {
  await writer?.close()
  await plane?.[Symbol.asyncDispose]()
})

function newClient(limits: { stallTimeoutMs?: number; requestTimeoutMs?: number }): typeof writer {
  const credentials = explicitCredentials(plane.controlPlane.admin)
  const options = { userAgent: 'watch-journey', clock: systemClock, log: silentLog(), random: Math.random }
  return createKubeClient({ credentials, ...options, ...limits })
}

interface Watched {
  readonly store: ObjectStore<ConfigMap>
  /** What somebody knows who only listened to the changes, by UID. */
  readonly heard: ReadonlyMap<string, string>
  /** How the watches ended that ended by an error. */
  readonly failures: readonly SpillwayError[]
  /** Holds back new watches until it is released. */
  readonly holdWatches: () => () => void
}

function startReflector(limits: Parameters<typeof newClient>[0] = {}): Watched {
  const client = newClient(limits)
  const store = new ObjectStore<ConfigMap>({ log: silentLog() })
  const failures: SpillwayError[] = []
  const heard = new Map<string, string>()
  store.subscribe((change) => hear(heard, change))
  let gate = Promise.resolve()
  async function* watch<T extends KubeObject>(
    ...args: Parameters<KubeApi['watch']>
  ): AsyncGenerator<WatchEvent<T>> {
    await gate
    try {
      yield* client.watch(...args) as AsyncIterable<WatchEvent<T>>
    } catch (error) {
      if (error instanceof SpillwayError) failures.push(error)
      throw error
    }
  }
  const stop = new AbortController()
  const running = reflect(
    {
      api: {
        list: (resource, options, signal) => client.list(resource, { ...options, pageSize: 7 }, signal),
        watch,
      },
      resource: configMaps,
      selection: { namespace },
      store,
      clock: systemClock,
      backoff: jitteredBackoff({ firstMs: 50, longestMs: 500, factor: 2, jitter: 0.2 }, Math.random),
      log: silentLog(),
    },
    stop.signal,
  )
  cleanups.push(async () => {
    stop.abort(new Error('over'))
    await running
    await client.close()
  })
  const holdWatches = (): (() => void) => {
    const held = Promise.withResolvers<void>()
    gate = held.promise
    return held.resolve
  }
  return { store, heard, failures, holdWatches }
}

function hear(heard: Map<string, string>, { before, after }: StoreChange<ConfigMap>): void {
  if (after) heard.set(after.metadata?.uid ?? '', fingerprint(after))
  else heard.delete(before?.metadata?.uid ?? '')
}

function fingerprint({ metadata, data }: ConfigMap): string {
  return `${metadata?.name} ${metadata?.uid} ${metadata?.resourceVersion} ${data?.['value']}`
}

function fingerprints(objects: readonly ConfigMap[]): string[] {
  return objects.map(fingerprint).sort()
}

/** Writes, and writes again what fails while the API server is away, as any client would. */
async function surely(write: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await write()
      return
    } catch (error) {
      // Conflict and NotFound: an earlier try went through, only its answer was lost.
      if (hasCode(error, 'Conflict') || hasCode(error, 'NotFound')) return
      if (error instanceof SpillwayError && !error.retry && error.code !== 'Forbidden') throw error
      await systemClock.sleep(50, never)
    }
  }
}

const create = (name: string, value: string): Promise<void> =>
  surely(() => writer.create(configMaps, { metadata: { namespace, name }, data: { value } }, never))
const change = (name: string, value: string): Promise<void> =>
  surely(() =>
    writer.patch(configMaps, { namespace, name }, { type: 'merge', body: { data: { value } } }, never),
  )
const remove = (name: string): Promise<void> =>
  surely(() => writer.delete(configMaps, { namespace, name }, {}, never))

/** Creations, changes, deletions, and names that come back with another object behind them. */
async function writeSome(round: string): Promise<void> {
  for (let i = 0; i < 20; i += 1) await create(`${round}-${i}`, 'new')
  for (let i = 0; i < 20; i += 2) await change(`${round}-${i}`, 'changed')
  for (let i = 0; i < 20; i += 3) await remove(`${round}-${i}`)
  for (let i = 0; i < 20; i += 6) await create(`${round}-${i}`, 'another')
}

/** As by a crash: no connection is closed in an orderly way. */
async function restartApiServer(): Promise<void> {
  await plane.controlPlane.killComponent('kube-apiserver', never)
  await plane.controlPlane.startComponent('kube-apiserver', never)
}

async function expectSame({ store, heard }: Watched): Promise<void> {
  const truth = fingerprints((await writer.list(configMaps, { namespace }, never)).items)
  expect(truth.length).toBeGreaterThan(10)
  await expect.poll(() => fingerprints(store.list()), patience).toEqual(truth)
  expect([...heard.values()].sort()).toEqual(truth)
}

describe('a reflector on a real API server', () => {
  it('keeps the exact state while the API server is killed and started again and again', async () => {
    const watched = startReflector()
    await watched.store.whenSynced(never)
    for (let round = 0; round < 3; round += 1) {
      const writing = writeSome(`round-${round}`)
      await expect
        .poll(() => watched.store.get({ namespace, name: `round-${round}-5` }), patience)
        .toBeDefined()
      await restartApiServer()
      await writing
    }
    expect(watched.failures.length).toBeGreaterThanOrEqual(3)
    await expectSame(watched)
  })

  it('misses nothing, deletions least of all, when its version has been compacted away', async () => {
    await writeSome('before')
    const watched = startReflector()
    await watched.store.whenSynced(never)
    await expectSame(watched)
    const old = (await writer.list(configMaps, { namespace }, never)).metadata.resourceVersion ?? ''

    const release = watched.holdWatches()
    await restartApiServer()
    for (let i = 1; i < 20; i += 2) await remove(`before-${i}`)
    await create('before-1', 'another')
    await writeSome('after')
    // Only etcd itself answers for an exact version, so this tells that it is gone there.
    const path = `/api/v1/configmaps?limit=1&resourceVersionMatch=Exact&resourceVersion=${old}`
    await expect
      .poll(() => writer.getText(path, never).then(() => 'there', (error: SpillwayError) => error.code), patience)
      .toBe('Expired') // prettier-ignore
    // And so in the API server, which answers watches from memory that begins at its start.
    await restartApiServer()
    expect(watched.store.get({ namespace, name: 'after-5' })).toBeUndefined()
    release()
    await expectSame(watched)
    expect(watched.failures.map(({ code }) => code)).toContain('Expired')
  })

  it('finds out by itself that the API server hangs with its connections open', async () => {
    const watched = startReflector({ stallTimeoutMs: 1500, requestTimeoutMs: 1000 })
    await watched.store.whenSynced(never)
    // What is written after the list can only come by the watch: so that is open.
    await create('still-awake', 'new')
    await expect.poll(() => watched.store.get({ namespace, name: 'still-awake' }), patience).toBeDefined()
    await plane.controlPlane.signalComponent('kube-apiserver', 'SIGSTOP')
    try {
      await expect
        .poll(() => watched.failures.map(({ reason, code }) => reason ?? code), patience)
        .toEqual(expect.arrayContaining(['WatchStalled', 'Unavailable']))
    } finally {
      await plane.controlPlane.signalComponent('kube-apiserver', 'SIGCONT')
    }
    await writeSome('awake')
    await expectSame(watched)
  })
})
