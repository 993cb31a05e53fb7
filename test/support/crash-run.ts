import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { chargeLines } from '../../src/billing/charges.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import type { UsageInterval } from '../../src/billing/projection.ts'
import { verifyLedger } from '../../src/billing/verify.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { formatSpec } from '../../src/model/spec.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { begunSpec, happen, podAt, sizes, type CrashScenario } from './crash-scenarios.ts'
import { openCrashLedger, type CrashLedger } from './crash-ledger.ts'
import type { CrashError, OutsideCall, ToChild, ToParent } from './crash-protocol.ts'
import { fakeEpochMs } from './fake-clock.ts'
import { LedgerWorld } from './ledger-world.ts'

/** Where the child is killed: before, after, or while the n-th thing that lasts is done. */
export interface CrashPoint {
  readonly number: number
  readonly phase: 'before' | 'while' | 'after'
}

export interface CrashOutcome {
  /** What lasts, in order, as the child named it. */
  readonly points: readonly string[]
  readonly killed: boolean
  readonly intervals: readonly UsageInterval[]
  /** All that is billed, in a line for each sandbox. */
  readonly billed: readonly string[]
  readonly problems: readonly string[]
  readonly world: LedgerWorld
}

const never = new AbortController().signal
const tickMs = 100
// A stop is asked for at each look until it is done.
const mostLooks = { quiet: 2, afterDeath: 6 }
const busyMs = 8_000
/** For the sweep of orphans, which is slow to believe. */
const lateMs = [40_000, 75_000, 110_000]

/** One life of one Pod from beginning to end, with at most one death of Spillway in it. */
export async function crashRun(
  scenario: CrashScenario,
  ledger: CrashLedger,
  crash?: CrashPoint,
): Promise<CrashOutcome> {
  const run = new CrashRun(scenario, ledger, crash)
  return await run.toTheEnd()
}

class CrashRun {
  readonly #scenario: CrashScenario
  readonly #ledger: CrashLedger
  readonly #crash: CrashPoint | undefined
  readonly #world: LedgerWorld
  readonly #points: string[] = []
  #pod: Pod | undefined
  #child: ChildProcess | undefined
  #nowMs = fakeEpochMs
  #supervised = false
  #generation = 0
  #spec = begunSpec
  #killed = false
  /** Of the look that is made. */
  #calls = 0

  constructor(scenario: CrashScenario, ledger: CrashLedger, crash: CrashPoint | undefined) {
    this.#scenario = scenario
    this.#ledger = ledger
    this.#crash = crash
    this.#pod = podAt(1, begunSpec, scenario)
    this.#world = new LedgerWorld(this.#pod.metadata?.uid ?? '', 'web')
  }

  async toTheEnd(): Promise<CrashOutcome> {
    const happens = [...this.#scenario.happens]
    const ticks = Array.from({ length: busyMs / tickMs }, (_, index) => index * tickMs)
    for (const afterMs of [...ticks, ...lateMs]) {
      this.#nowMs = fakeEpochMs + afterMs
      while (happens[0] && happens[0].atMs <= afterMs) {
        const { atMs, what } = happens.shift() ?? happens[0]
        happen(this.#world, fakeEpochMs + atMs, what)
        this.#asked(what)
      }
      // What was done is seen at once, and looked at again; so does the next life when it was killed in it.
      let [again, most] = [true, mostLooks.quiet]
      for (let looks = 0; again && looks < most; looks += 1) {
        this.#calls = 0
        const lived = await this.#look()
        if (!lived) most = mostLooks.afterDeath
        again = !lived || this.#calls > 0
      }
    }
    await this.#end()
    return await this.#outcome()
  }

  /** What a user does, as the API server then has it. */
  #asked(what: string): void {
    const { metadata } = this.#pod ?? {}
    if (!this.#pod || !metadata) return
    const resourceVersion = String(Number(metadata.resourceVersion) + 1)
    if (what === 'delete') {
      const deletionTimestamp = new Date(this.#nowMs).toISOString()
      const deleted = { ...metadata, resourceVersion, deletionTimestamp, deletionGracePeriodSeconds: 2 }
      this.#pod = { ...this.#pod, metadata: deleted }
    }
    if (what === 'grow' || what === 'shrink') {
      const generation = (metadata.generation ?? 0) + 1
      const { spec = { containers: [] } } = podAt(generation, sizes[what], this.#scenario)
      this.#pod = { ...this.#pod, metadata: { ...metadata, generation, resourceVersion }, spec }
    }
  }

  /** False: it was killed under way. */
  async #look(): Promise<boolean> {
    const child = this.#child ?? (await this.#begin())
    const seen = this.#world.observe(this.#nowMs)
    const own = { supervised: this.#supervised, generation: this.#generation }
    this.#tell(child, {
      kind: 'look',
      nowMs: this.#nowMs,
      pod: this.#pod,
      observed: seen && { ...seen, ...own },
    })
    for (;;) {
      const message = await this.#next(child)
      if (message === 'dead') return false
      if (message.kind === 'looked') return true
      if (message.kind === 'point') await this.#point(child, message)
      if (message.kind === 'call') this.#call(child, message)
    }
  }

  async #begin(): Promise<ChildProcess> {
    const script = join(import.meta.dirname, 'crash-child.ts')
    const child = fork(script, [JSON.stringify(this.#ledger)], {
      serialization: 'advanced',
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.#child = child
    this.#inbox = []
    this.#supervised = false
    this.#generation = 0
    child.on('message', (message: ToParent) => this.#arrive(message))
    child.on('exit', () => this.#arrive('dead'))
    const first = await this.#next(child)
    if (first === 'dead' || first.kind !== 'ready') throw new Error('the child did not begin')
    return child
  }

  #inbox: (ToParent | 'dead')[] = []
  #wake = (): void => undefined

  #arrive(message: ToParent | 'dead'): void {
    this.#inbox.push(message)
    this.#wake()
  }

  async #next(child: ChildProcess): Promise<ToParent | 'dead'> {
    while (this.#inbox.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    const message = this.#inbox.shift() ?? 'dead'
    if (message !== 'dead') return message
    if (!this.#killed && child.signalCode !== 'SIGKILL') throw new Error('the child died by itself')
    this.#child = undefined
    return message
  }

  async #point(
    child: ChildProcess,
    { id, phase, what }: Extract<ToParent, { kind: 'point' }>,
  ): Promise<void> {
    if (phase === 'before') this.#points.push(what)
    const number = this.#points.length
    const isHere = !this.#killed && this.#crash?.number === number
    if (isHere && this.#crash?.phase === phase) return this.#kill(child)
    this.#tell(child, { kind: 'answer', id })
    // Somewhere in it: it has been given leave, and may be done with it or not.
    if (isHere && phase === 'before' && this.#crash?.phase === 'while') {
      await new Promise((resolve) => setTimeout(resolve, number % 4))
      this.#kill(child)
    }
  }

  #kill(child: ChildProcess): void {
    this.#killed = true
    child.kill('SIGKILL')
  }

  #call(child: ChildProcess, { id, what, args }: Extract<ToParent, { kind: 'call' }>): void {
    this.#calls += 1
    const done = this.#do(what, args)
    this.#tell(child, { kind: 'answer', id, ...done })
  }

  #do(what: OutsideCall, args: unknown): { value?: unknown; error?: CrashError } {
    const world = this.#world
    switch (what) {
      case 'start': {
        if (!world.isHeld) this.#spec = specOf(args)
        world.start(this.#nowMs, generationOf(args), specOf(args))
        this.#supervised = true
        this.#generation = generationOf(args)
        return {}
      }
      case 'update':
        if (specOf(args) === this.#spec) {
          this.#generation = generationOf(args)
          return {}
        }
        if (this.#scenario.refusesResize) return { error: { code: 'Rejected', message: 'too large' } }
        this.#generation = generationOf(args)
        this.#spec = specOf(args)
        world.resize(this.#nowMs, this.#generation, this.#spec, 40)
        return {}
      case 'stop':
        world.stop(this.#nowMs, 730)
        return {}
      case 'forget':
        world.vanish(this.#nowMs)
        return {}
      case 'get':
        return this.#pod ? { value: this.#pod } : { error: { code: 'NotFound', message: 'no such Pod' } }
      case 'delete':
        this.#pod = undefined
        return {}
      case 'patch':
        return this.#patch(args as Pick<Pod, 'metadata' | 'status'>)
    }
  }

  /** Conditions merge by type, annotations by name. */
  #patch({ metadata: wanted, status = {} }: Pick<Pod, 'metadata' | 'status'>): {
    value?: unknown
    error?: CrashError
  } {
    if (!this.#pod) return { error: { code: 'NotFound', message: 'no such Pod' } }
    const { metadata, status: before = {} } = this.#pod
    const annotations = { ...metadata?.annotations, ...wanted?.annotations }
    const written = status.conditions ?? []
    const kept = (before.conditions ?? []).filter(
      ({ type }) => !written.some((condition) => condition.type === type),
    )
    const resourceVersion = String(Number(metadata?.resourceVersion) + 1)
    this.#pod = {
      ...this.#pod,
      metadata: { ...metadata, annotations, resourceVersion },
      status: { ...before, ...status, conditions: [...kept, ...written] },
    }
    return { value: this.#pod }
  }

  #tell(child: ChildProcess, message: ToChild): void {
    if (child.connected) child.send(message, () => undefined)
  }

  async #end(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#killed = true
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  async #outcome(): Promise<CrashOutcome> {
    const ledger = await openCrashLedger(this.#ledger)
    try {
      const { intervals } = await ledger.history(asPodUid(this.#world.uid), never)
      const { problems } = await verifyLedger(ledger, { nowMs: this.#nowMs }, never)
      return {
        points: this.#points,
        killed: this.#killed,
        intervals,
        billed: intervals.map(billed),
        problems: [
          ...problems.map(({ message }) => message),
          ...(this.#pod ? ['the API object is still there'] : []),
          ...(this.#world.isHeld ? ['the backend was never told to forget'] : []),
        ],
        world: this.#world,
      }
    } finally {
      await ledger.close()
    }
  }
}

/** Times from the beginning of the scenario. An estimate may be another: how good it is, is asked of each. */
function billed(interval: UsageInterval): string {
  const { incarnation, startMs, endMs = Infinity, confidence, segments } = interval
  if (confidence === 'estimated') return `${incarnation}: ${startMs - fakeEpochMs} to an estimate`
  const sizes = segments.map(({ fromMs, terms }) => `${formatSpec(terms.spec)} from ${fromMs - fakeEpochMs}`)
  const lines = chargeLines(interval, flatDemo, { nowMs: fakeEpochMs + 3_600_000 })
  const amounts = lines.map(({ sku, exact }) => `${sku} ${exact}`)
  const times = `${startMs - fakeEpochMs} to ${endMs - fakeEpochMs} (${confidence})`
  return `${incarnation}: ${times}; ${sizes.join(', ')}; ${amounts.join(', ')}`
}

function generationOf(pod: unknown): number {
  return (pod as Pod).metadata?.generation ?? 0
}

function specOf(pod: unknown): typeof begunSpec {
  const requests = (pod as Pod).spec?.containers[0]?.resources?.requests ?? {}
  const known = [begunSpec, sizes.grow, sizes.shrink]
  const spec = known.find(({ cpuMillis }) => requests['cpu'] === `${cpuMillis}m`)
  if (!spec) throw new Error(`no such size: ${JSON.stringify(requests)}`)
  return spec
}
