import { checkPool, compilePool, type PoolConfig } from '../config/pool.ts'
import { poolSchema, type RawPool } from '../config/pool-schema.ts'
import { validate } from '../config/validate.ts'
import type { KubeApi } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { virtualNodePools } from '../kube/resources.ts'
import { ObjectStore } from '../kube/store.ts'
import { untilAborted } from '../kube/until-aborted.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import type { VirtualNodePool } from '../model/virtual-node-pool.ts'
import type { Log } from '../telemetry/log.ts'
import { poolObject } from './pool-object.ts'

/** A pool as somebody has asked for it. */
export interface KnownPool {
  readonly name: string
  /** Undefined: it is only in the configuration file. */
  readonly object: VirtualNodePool | undefined
  /** Undefined: it cannot be taken as it is. */
  readonly config: PoolConfig | undefined
  /** Why not: the field, what was found, what is allowed. */
  readonly problems: readonly string[]
}

export interface KnownPoolsOptions {
  readonly filePools: readonly PoolConfig[]
  /** Names that pools may name. */
  readonly backends: readonly string[]
  readonly priceBooks: ReadonlyMap<string, { readonly currency: string }>
  /** Ours: what another Spillway of the same cluster has taken is not told of. */
  readonly instance: string
  readonly api: KubeApi
  readonly clock: Clock
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

/** How soon a definition that is applied later is found. */
const lookAgainMs = 10_000

/**
 * The pools that there are to be. Where the API server serves VirtualNodePools, each pool of the configuration file is
 * made one once, and from then on the objects count; elsewhere the file does.
 */
export class KnownPools {
  readonly #options: KnownPoolsOptions
  readonly #store: ObjectStore<VirtualNodePool>
  readonly #listeners = new Set<(name: string) => void>()
  readonly #decided = Promise.withResolvers<void>()
  /** Of file pools while there are no objects: what `scale` has made of them. */
  readonly #replicas = new Map<string, number>()
  #served = false
  /** Until something changes: nodes ask at each look what their pool is. */
  #list: readonly KnownPool[] | undefined
  #byName: ReadonlyMap<string, KnownPool> | undefined

  constructor(options: KnownPoolsOptions) {
    this.#options = options
    this.#store = new ObjectStore<VirtualNodePool>({ log: options.log })
    this.#store.subscribe(({ before, after }) => this.#tell((after ?? before)?.metadata?.name ?? ''))
  }

  /** Whether the cluster serves VirtualNodePools, so that objects count. */
  get areObjects(): boolean {
    return this.#served
  }

  list(): readonly KnownPool[] {
    this.#list ??= this.#read()
    return this.#list
  }

  #read(): readonly KnownPool[] {
    if (!this.#served || !this.#store.synced)
      return this.#options.filePools.map((pool) => this.#filePool(pool))
    return this.#store
      .list()
      .filter(({ status }) => [undefined, this.#options.instance].includes(status?.instance))
      .map((object) => this.#objectPool(object))
      .sort((a, b) => this.#rank(a) - this.#rank(b) || a.name.localeCompare(b.name))
  }

  /** Those that can be taken, in the order in which Pods try them: the file's, then by name. */
  configs(): readonly PoolConfig[] {
    return this.list().flatMap(({ config }) => (config ? [config] : []))
  }

  get(name: string): KnownPool | undefined {
    this.#byName ??= new Map(this.list().map((pool) => [pool.name, pool]))
    return this.#byName.get(name)
  }

  /** Calls back with the name of a pool that has changed, come or gone. Returns the end of the subscription. */
  subscribe(listener: (name: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Resolves once it is known whether objects or the file count, and the objects are in. */
  async whenKnown(signal: AbortSignal): Promise<void> {
    await untilAborted(this.#decided.promise, signal)
  }

  /** The number of nodes, as `kubectl scale` would write it. */
  async scale(name: string, replicas: number, signal: AbortSignal): Promise<void> {
    if (this.#served) {
      const patch = { type: 'merge', body: { spec: { replicas } } } as const
      await this.#options.api.patch(virtualNodePools, { name }, patch, signal)
    } else {
      this.#replicas.set(name, replicas)
      this.#tell(name)
    }
  }

  /** Follows the objects until the signal is aborted. A cluster without their definition is asked again. */
  async run(signal: AbortSignal): Promise<void> {
    const { api, clock, backoff, log } = this.#options
    while (!signal.aborted && !(await this.#begin(signal))) {
      this.#decided.resolve()
      try {
        await clock.sleep(lookAgainMs, signal)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
    if (signal.aborted) return
    this.#served = true
    this.#forget()
    void this.#store.whenSynced(signal).then(
      () => {
        this.#forget()
        this.#decided.resolve()
        for (const { name } of this.#options.filePools) this.#tell(name)
      },
      () => undefined,
    )
    const options = {
      api,
      resource: virtualNodePools,
      selection: {},
      store: this.#store,
      clock,
      backoff,
      log,
    }
    await reflect<VirtualNodePool>(options, signal)
  }

  /** Makes objects of the file's pools. Answers whether objects can be had at all. */
  async #begin(signal: AbortSignal): Promise<boolean> {
    const { api, filePools, log } = this.#options
    try {
      const { items } = await api.list(virtualNodePools, {}, signal)
      const there = new Set(items.map(({ metadata }) => metadata?.name))
      for (const pool of filePools) {
        if (there.has(pool.name)) continue
        await api.create(virtualNodePools, poolObject(pool), signal)
        log.info({ pool: pool.name }, 'VirtualNodePool made of the pool in the configuration')
      }
      return true
    } catch (error) {
      if (signal.aborted) return false
      const missing = hasCode(error, 'NotFound')
      log[missing ? 'debug' : 'warn'](
        { error: errorMessage(error) },
        'no VirtualNodePools: the pools of the configuration count',
      )
      return false
    }
  }

  #filePool(pool: PoolConfig): KnownPool {
    const replicas = this.#replicas.get(pool.name) ?? pool.replicas
    return { name: pool.name, object: undefined, ...this.#checked({ ...pool, replicas }) }
  }

  #objectPool(object: VirtualNodePool): KnownPool {
    const name = object.metadata?.name ?? ''
    const raw = { ...object.spec, name }
    // The API server has checked it, but perhaps by an older or newer definition.
    const problems = validate(poolSchema, raw)
    if (problems.length > 0) return { name, object, config: undefined, problems }
    return { name, object, ...this.#checked(compilePool(raw as RawPool)) }
  }

  #checked(pool: PoolConfig): Pick<KnownPool, 'config' | 'problems'> {
    const { backends, priceBooks } = this.#options
    const problems = checkPool(pool, backends)
    const book = priceBooks.get(pool.priceBook)
    if (!book) {
      problems.push(`priceBook: found "${pool.priceBook}"; allowed: ${[...priceBooks.keys()].join(', ')}`)
    } else if (pool.budget && pool.budget.currency !== book.currency) {
      // Amounts in different currencies are never added up: nothing would ever fit.
      problems.push(
        `budget.currency: found "${pool.budget.currency}"; allowed: ${book.currency}, as price book ${pool.priceBook} has it`,
      )
    }
    return { config: problems.length > 0 ? undefined : pool, problems }
  }

  #forget(): void {
    this.#list = undefined
    this.#byName = undefined
  }

  #rank({ name }: KnownPool): number {
    const at = this.#options.filePools.findIndex((pool) => pool.name === name)
    return at < 0 ? this.#options.filePools.length : at
  }

  #tell(name: string): void {
    this.#forget()
    for (const listener of this.#listeners) listener(name)
  }
}
