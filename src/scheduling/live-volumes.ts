import type { KubeApi, Resource } from '../kube/api.ts'
import { reflect } from '../kube/reflector.ts'
import { persistentVolumeClaims, persistentVolumes, storageClasses } from '../kube/resources.ts'
import { ObjectStore } from '../kube/store.ts'
import { untilAborted } from '../kube/until-aborted.ts'
import type { Clock } from '../model/clock.ts'
import { hasCode } from '../model/errors.ts'
import type {
  KubeObject,
  PersistentVolume,
  PersistentVolumeClaim,
  StorageClass,
} from '../model/kubernetes.ts'
import type { Log } from '../telemetry/log.ts'
import type { VolumeObjects } from './volumes.ts'

/** Where the volumes of the cluster are, for whoever judges Pods by them. */
export interface VolumeSource {
  /** Undefined: not known. */
  objects(): VolumeObjects | undefined
  /** Says that there are Pods for which it matters: from then on volumes are followed. */
  want(): void
  /** Whether they are wanted and not known, but may be at any moment. */
  readonly awaited: boolean
  /** Calls back when an answer may have changed. Returns the end of the subscription. */
  subscribe(listener: () => void): () => void
}

export interface LiveVolumesOptions {
  readonly api: Pick<KubeApi, 'list' | 'watch'>
  readonly clock: Clock
  /** Milliseconds to wait after that many failures of a watch in a row. */
  readonly backoff: (failures: number) => number
  readonly log: Log
}

/** Who may not read them is not to keep Pods waiting for ever: the scheduler judges volumes in any case. */
const patienceMs = 30_000

/** Follows volumes from when the first Pod comes for which they matter: most clusters have many, and most overflow none. */
export class LiveVolumes implements VolumeSource {
  readonly #options: LiveVolumesOptions
  readonly #claims: ObjectStore<PersistentVolumeClaim>
  readonly #volumes: ObjectStore<PersistentVolume>
  readonly #classes: ObjectStore<StorageClass>
  readonly #wanted = Promise.withResolvers<void>()
  readonly #listeners = new Set<() => void>()
  #isWanted = false
  #isPatient = true

  constructor(options: LiveVolumesOptions) {
    this.#options = options
    const { log } = options
    this.#claims = new ObjectStore<PersistentVolumeClaim>({ log })
    this.#volumes = new ObjectStore<PersistentVolume>({ log })
    this.#classes = new ObjectStore<StorageClass>({ log })
    const tell = (): void => this.#tell()
    for (const store of [this.#claims, this.#volumes, this.#classes]) store.subscribe(tell)
  }

  objects(): VolumeObjects | undefined {
    if (!this.#claims.synced || !this.#volumes.synced || !this.#classes.synced) return undefined
    return {
      claims: this.#claims.list(),
      volumes: this.#volumes.list(),
      classes: this.#classes.list(),
    }
  }

  /** For one answer: what is followed, or else asked for now. Undefined where they may not be read. */
  async read(signal: AbortSignal): Promise<VolumeObjects | undefined> {
    const { api } = this.#options
    const followed = this.objects()
    if (followed) return followed
    try {
      const [claims, volumes, classes] = await Promise.all([
        api.list(persistentVolumeClaims, {}, signal),
        api.list(persistentVolumes, {}, signal),
        api.list(storageClasses, {}, signal),
      ])
      return { claims: claims.items, volumes: volumes.items, classes: classes.items }
    } catch (error) {
      if (hasCode(error, 'Forbidden')) return undefined
      throw error
    }
  }

  want(): void {
    this.#isWanted = true
    this.#wanted.resolve()
  }

  get awaited(): boolean {
    return this.#isWanted && this.#isPatient && this.objects() === undefined
  }

  subscribe(listener: () => void): () => void {
    const own = (): void => listener()
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** Follows them until the signal is aborted, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await untilAborted(this.#wanted.promise, signal)
      await Promise.all([
        this.#follow(persistentVolumeClaims, this.#claims, signal),
        this.#follow(persistentVolumes, this.#volumes, signal),
        this.#follow(storageClasses, this.#classes, signal),
        this.#losePatience(signal),
      ])
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #follow<T extends KubeObject>(
    resource: Resource<T>,
    store: ObjectStore<T>,
    signal: AbortSignal,
  ): Promise<void> {
    void store.whenSynced(signal).then(
      () => this.#tell(),
      () => undefined,
    )
    await reflect<T>({ ...this.#options, resource, selection: {}, store }, signal)
  }

  async #losePatience(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(patienceMs, signal)
    const { awaited } = this
    this.#isPatient = false
    if (awaited) this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
