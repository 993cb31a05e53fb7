import type { Clock } from '../../../model/clock.ts'
import { errorMessage, SpillwayError } from '../../../model/errors.ts'
import type { Log } from '../../../telemetry/log.ts'
import type { PodHappening } from '../../backend.ts'
import type { CriClient } from '../runtime/client.ts'
import type { CriImage } from '../runtime/cri-types.ts'
import { pullSentence } from '../runtime/errors.ts'
import { mayUse, type ImageAccess } from './image-access.ts'
import type { Credential } from './image-credentials.ts'
import { defaultPullPolicy, parseImageName, type ImageName } from './image-name.ts'
import type { ImageRequest } from './image-request.ts'
import { PullBackoff } from './pull-backoff.ts'
import { pullFailure } from './pull-failure.ts'
import type { PullRecords } from './pull-records.ts'
import { pullCredentials } from './pull-secrets.ts'

export interface ImagesOptions {
  readonly client: CriClient
  readonly records: PullRecords
  readonly clock: Clock
  readonly log: Log
}

// Images may be removed behind our back; a start that then fails tells, and the next one looks again.
const rememberedMs = 5_000

/**
 * Images on this machine, pulled by the container's policy as kubelet does: `Always` asks the registry each time,
 * `IfNotPresent` when the image is missing, or when it came with a login that the Pod has not shown. One pull at a time
 * per image and login, however many wait for it.
 */
export class Images {
  readonly #options: ImagesOptions
  readonly #backoff: PullBackoff
  readonly #pulls = new Map<string, Promise<CriImage>>()
  readonly #known = new Map<string, { readonly image: CriImage; readonly atMs: number }>()
  #recovered: Promise<void> | undefined

  constructor(options: ImagesOptions) {
    this.#options = options
    this.#backoff = new PullBackoff(options.clock)
  }

  /**
   * The container's image, pulled if need be. Rejects with the reason InvalidImageName, ErrImageNeverPull, ErrImagePull
   * or ImagePullBackOff (Busy, with afterMs); the message is what kubelet shows.
   */
  async ensure(request: ImageRequest, signal: AbortSignal): Promise<CriImage> {
    const { container, fieldPath, tell } = request
    const given = container.image ?? ''
    const { reference } = readName(request)
    const policy = container.imagePullPolicy ?? defaultPullPolicy(given)
    await this.#recover(signal)
    const present = policy === 'Always' ? undefined : await this.#present(reference, signal)
    if (present && (await this.#isOpenTo(request, present, signal))) {
      const message = `Container image "${given}" already present on machine and can be accessed by the pod`
      tell(happened(fieldPath, 'Pulled', message))
      return present
    }
    if (policy === 'Never') {
      // The same words for an image that is here and not for this Pod: that it is here is nobody's business.
      const message = `Container image "${given}" is not present with pull policy of Never`
      tell(happened(fieldPath, 'ErrImageNeverPull', message, 'Warning'))
      throw new SpillwayError('NotFound', message, { reason: 'ErrImageNeverPull' })
    }
    this.#refuseInBackoff(request)
    return await this.#pull(request, signal)
  }

  /** Those here that we pulled, and that nobody is pulling anew. */
  async pulled(signal: AbortSignal): Promise<readonly CriImage[]> {
    const { client, records } = this.#options
    await this.#recover(signal)
    const present = await client.listImages(signal)
    return present.filter(({ id, repoTags, repoDigests }) => {
      const names = [...repoTags, ...repoDigests]
      return records.find(id) !== undefined && !names.some((name) => records.isBeingPulled(name))
    })
  }

  /** Removes an image that nobody uses, and what was recorded of it. */
  async remove(id: string, signal: AbortSignal): Promise<void> {
    const { client, records } = this.#options
    this.forgetKnown()
    await client.removeImage(id, signal)
    // After the image: without its record it would be anybody's.
    await records.forget(id)
    this.forgetKnown()
  }

  /** Forgets the back-offs of a Pod. */
  forget(uid: string): void {
    this.#backoff.forget(uid)
  }

  /** To be called when the runtime could not find an image that was here a moment ago. */
  forgetKnown(): void {
    this.#known.clear()
  }

  /** Once, for all who ask meanwhile; tried anew when it failed. */
  async #recover(signal: AbortSignal): Promise<void> {
    const { client, records } = this.#options
    const recover = async (): Promise<void> => {
      const { signal: detached } = new AbortController()
      const present = await client.listImages(detached)
      await records.recover(present, (image) => client.imageStatus(image, detached))
    }
    this.#recovered ??= recover().catch((error: unknown) => {
      this.#recovered = undefined
      throw error
    })
    await orAborted(this.#recovered, signal)
  }

  async #present(reference: string, signal: AbortSignal): Promise<CriImage | undefined> {
    const { client, clock } = this.#options
    const known = this.#known.get(reference)
    const nowMs = clock.monotonicMs()
    if (known && nowMs - known.atMs < rememberedMs) return known.image
    const image = await client.imageStatus(reference, signal)
    if (image) this.#known.set(reference, { image, atMs: nowMs })
    else this.#known.delete(reference)
    return image
  }

  /** Whether the Pod may use an image that is here as it stands. */
  async #isOpenTo(request: ImageRequest, { id }: CriImage, signal: AbortSignal): Promise<boolean> {
    const { records } = this.#options
    const { name, full } = parseImageName(request.container.image ?? '')
    const record = records.find(id)
    // Whoever put it here by hand meant it for all.
    if (!record) return !records.isBeingPulled(full)
    const access = record.access[name]
    const credentials = access?.kind === 'secrets' ? await pullCredentials(request, signal) : []
    const { allowed, learned } = mayUse(
      access,
      credentials.map(({ source }) => source),
    )
    if (learned) await this.#grant(id, name, { kind: 'secrets', secrets: [learned] })
    return allowed
  }

  #refuseInBackoff({ pod, container, fieldPath, tell }: ImageRequest): void {
    const { image = '' } = container
    const waiting = this.#backoff.waiting(pod.metadata?.uid ?? '', image)
    if (!waiting) return
    const message = `Back-off pulling image "${image}"`
    tell(happened(fieldPath, 'BackOff', message))
    throw new SpillwayError('Busy', `${message}: ${waiting.lastError}`, {
      reason: 'ImagePullBackOff',
      afterMs: waiting.leftMs,
    })
  }

  async #pull(request: ImageRequest, signal: AbortSignal): Promise<CriImage> {
    const { clock } = this.#options
    const { pod, container, fieldPath, tell } = request
    const given = container.image ?? ''
    tell(happened(fieldPath, 'Pulling', `Pulling image "${given}"`))
    const startedMs = clock.monotonicMs()
    try {
      const image = await this.#pullWithAny(request, signal)
      this.#backoff.succeeded(pod.metadata?.uid ?? '', given)
      const took = goDuration(clock.monotonicMs() - startedMs)
      const message = `Successfully pulled image "${given}" in ${took} (${took} including waiting). Image size: ${image.size} bytes.`
      tell(happened(fieldPath, 'Pulled', message))
      return image
    } catch (error) {
      signal.throwIfAborted()
      throw this.#failed(error, request)
    }
  }

  #failed(error: unknown, { pod, container, fieldPath, tell }: ImageRequest): SpillwayError {
    const { image = '' } = container
    const sentence = pullSentence(error)
    tell(happened(fieldPath, 'Failed', `Failed to pull image "${image}": ${sentence}`, 'Warning'))
    const { reason, message } = pullFailure(image, error)
    const delayMs = this.#backoff.failed(pod.metadata?.uid ?? '', image, `${reason}: ${message}`)
    return new SpillwayError('Busy', message, { reason, cause: error, afterMs: delayMs })
  }

  /** With each login that fits, the most specific first; without any when none does. */
  async #pullWithAny(request: ImageRequest, signal: AbortSignal): Promise<CriImage> {
    const given = request.container.image ?? ''
    const credentials = await pullCredentials(request, signal)
    const failures: unknown[] = []
    const attempts: readonly (Credential | undefined)[] = credentials.length > 0 ? credentials : [undefined]
    for (const credential of attempts) {
      try {
        return await orAborted(this.#sharedPull(given, credential), signal)
      } catch (error) {
        signal.throwIfAborted()
        failures.push(error)
      }
    }
    if (failures.length === 1) throw failures[0]
    const sentences = [...new Set(failures.map(pullSentence))].join(', ')
    throw new SpillwayError('Unavailable', `[${sentences}]`)
  }

  /** Goes on when the one who asked is gone: others may be waiting, and what has been pulled is not lost. */
  #sharedPull(given: string, credential: Credential | undefined): Promise<CriImage> {
    // Pulls with other logins are others: one Pod's right to an image is not another's.
    const key = JSON.stringify([given, credential?.auth])
    let pull = this.#pulls.get(key)
    if (!pull) {
      pull = this.#recordedPull(given, credential)
      this.#pulls.set(key, pull)
      const done = (): void => void this.#pulls.delete(key)
      pull.then(done, done)
    }
    return pull
  }

  async #recordedPull(given: string, credential: Credential | undefined): Promise<CriImage> {
    const { client, records, clock } = this.#options
    const { reference, name, full } = parseImageName(given)
    const { signal } = new AbortController()
    await records.begin(full)
    let isRecorded = true
    try {
      await client.pullImage(reference, credential?.auth, signal)
      const image = await client.imageStatus(reference, signal)
      if (!image) throw new SpillwayError('Unavailable', `image "${given}" vanished right after its pull`)
      const access: ImageAccess = credential
        ? { kind: 'secrets', secrets: [credential.source] }
        : { kind: 'everyone' }
      isRecorded = await this.#grant(image.id, name, access)
      this.#known.set(reference, { image, atMs: clock.monotonicMs() })
      return image
    } finally {
      // Without its record the image would be anybody's after a restart: what was begun has to stay.
      if (isRecorded) await records.end(full)
    }
  }

  /** Whether it was recorded. If not, a later Pod has to ask the registry, and this one goes on. */
  async #grant(imageId: string, name: string, access: ImageAccess): Promise<boolean> {
    const { records, log } = this.#options
    try {
      await records.grant(imageId, name, access)
      return true
    } catch (error) {
      log.warn({ image: name, error: errorMessage(error) }, 'who may use an image could not be recorded')
      return false
    }
  }
}

function readName({ container, fieldPath, tell }: ImageRequest): ImageName {
  try {
    return parseImageName(container.image ?? '')
  } catch (error) {
    tell(happened(fieldPath, 'InspectFailed', errorMessage(error), 'Warning'))
    throw error
  }
}

function happened(
  fieldPath: string | undefined,
  reason: string,
  message: string,
  type: PodHappening['type'] = 'Normal',
): PodHappening {
  return { type, reason, message, ...(fieldPath !== undefined && { fieldPath }) }
}

/** As Go prints a duration, to the millisecond: `340ms`, `12.5s`, `1m2.5s`. */
function goDuration(ms: number): string {
  const whole = Math.round(ms)
  if (whole < 1000) return `${whole}ms`
  const minutes = Math.floor(whole / 60_000)
  const seconds = `${(whole % 60_000) / 1000}s`
  return minutes > 0 ? `${minutes}m${seconds}` : seconds
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
