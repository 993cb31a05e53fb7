import { assertNever } from '../model/assert.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { KubeApi, Resource, Selection, WatchEvent } from './api.ts'
import {
  initialState,
  nextReflectorState,
  type ReflectorInput,
  type ReflectorState,
} from './reflector-state.ts'
import type { ObjectStore } from './store.ts'
import { watchStalled } from './transport.ts'

export interface ReflectorOptions<T extends KubeObject> {
  readonly api: Pick<KubeApi, 'list' | 'watch'>
  readonly resource: Resource<T>
  readonly selection: Selection
  readonly store: ObjectStore<T>
  readonly clock: Clock
  /** Milliseconds to wait after that many failures in a row (≥ 1); `jitteredBackoff` of the control room makes one. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

/**
 * Keeps the store the same as the API server until the signal is aborted, then resolves. Never rejects: whatever goes
 * wrong is tried again. The decisions are in `reflector-state.ts`.
 */
export async function reflect<T extends KubeObject>(
  options: ReflectorOptions<T>,
  signal: AbortSignal,
): Promise<void> {
  let state: ReflectorState = initialState
  while (!signal.aborted) {
    try {
      state = await step(options, state, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

async function step<T extends KubeObject>(
  options: ReflectorOptions<T>,
  state: ReflectorState,
  signal: AbortSignal,
): Promise<ReflectorState> {
  switch (state.kind) {
    case 'listing':
      return listOnce(options, state, signal)
    case 'watching':
      return watchOnce(options, state, signal)
    case 'waiting': {
      const delayMs = Math.max(options.backoff(state.failures), state.atLeastMs)
      await options.clock.sleep(delayMs, signal)
      return nextReflectorState(state, { kind: 'waited' })
    }
    default:
      return assertNever(state, 'reflector state')
  }
}

async function listOnce<T extends KubeObject>(
  options: ReflectorOptions<T>,
  state: ReflectorState,
  signal: AbortSignal,
): Promise<ReflectorState> {
  const { api, resource, selection, store, clock } = options
  try {
    const list = await api.list(resource, selection, signal)
    const resourceVersion = list.metadata.resourceVersion
    if (!resourceVersion) {
      throw new SpillwayError(
        'Unavailable',
        `list of ${resource.plural}: metadata.resourceVersion is missing`,
      )
    }
    store.replaceAll(list.items)
    store.touch(clock.monotonicMs())
    return nextReflectorState(state, { kind: 'listed', resourceVersion })
  } catch (error) {
    return afterError(options, state, error, signal)
  }
}

async function watchOnce<T extends KubeObject>(
  options: ReflectorOptions<T>,
  initial: ReflectorState & { kind: 'watching' },
  signal: AbortSignal,
): Promise<ReflectorState> {
  const { api, resource, selection, store, clock } = options
  const { resourceVersion } = initial
  const touch = (): void => store.touch(clock.monotonicMs())
  const startedMs = clock.monotonicMs()
  let state: ReflectorState = initial
  try {
    const watch = api.watch(resource, { ...selection, resourceVersion, onOpen: touch }, signal)
    for await (const event of watch) {
      touch()
      state = nextReflectorState(state, { kind: 'heard', resourceVersion: take(store, event) })
    }
    return nextReflectorState(state, { kind: 'ended', lastedMs: clock.monotonicMs() - startedMs })
  } catch (error) {
    return afterError(options, state, error, signal)
  }
}

/** Brings one event into the store; the version to go on from. */
function take<T extends KubeObject>(store: ObjectStore<T>, event: WatchEvent<T>): string {
  if (event.type === 'BOOKMARK') return event.resourceVersion
  const resourceVersion = event.object.metadata?.resourceVersion
  if (!resourceVersion) {
    throw new SpillwayError('Unavailable', `a watch event of type ${event.type} without a resourceVersion`)
  }
  if (event.type === 'DELETED') store.remove(event.object)
  else store.put(event.object)
  return resourceVersion
}

function afterError<T extends KubeObject>(
  { resource, log }: ReflectorOptions<T>,
  state: ReflectorState,
  error: unknown,
  signal: AbortSignal,
): ReflectorState {
  signal.throwIfAborted()
  const input = inputOf(error)
  const fields = {
    kind: resource.kind,
    was: state.kind,
    failures: state.failures,
    error: errorMessage(error),
  }
  // A silent watch and an outlived version belong to a normal day.
  if (input.kind === 'stalled' || (input.kind === 'failed' && input.code === 'Expired')) {
    log.debug(fields, 'watch begins anew')
  } else {
    log.warn(fields, 'list or watch failed')
  }
  return nextReflectorState(state, input)
}

function inputOf(error: unknown): ReflectorInput {
  if (!(error instanceof SpillwayError)) return { kind: 'failed', code: undefined, afterMs: 0 }
  if (error.reason === watchStalled) return { kind: 'stalled' }
  return { kind: 'failed', code: error.code, afterMs: error.afterMs ?? 0 }
}
