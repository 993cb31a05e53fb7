import type { Clock } from '../../model/clock.ts'
import { SpillwayError } from '../../model/errors.ts'
import type { Container, Pod, Secret } from '../../model/kubernetes.ts'
import type { PodHappening, PodSources } from '../backend.ts'
import type { CriClient } from './client.ts'
import type { CriImage, ImageAuth } from './cri-types.ts'
import { runtimeSentence } from './errors.ts'
import { credentialsFor } from './image-credentials.ts'
import { defaultPullPolicy, parseImageName } from './image-name.ts'

export interface ImageRequest {
  readonly pod: Pod
  readonly container: Pick<Container, 'image' | 'imagePullPolicy'>
  readonly sources: PodSources
  /** As in `spec.containers{web}`; left out for the image of a volume. */
  readonly fieldPath?: string
  readonly tell: (happening: PodHappening) => void
}

interface Backoff {
  readonly delayMs: number
  readonly untilMs: number
  readonly lastError: string
}

const firstBackoffMs = 10_000
const longestBackoffMs = 300_000
// Images may be removed behind our back; a start that then fails tells, and the next one looks again.
const rememberedMs = 5_000

/**
 * Images on this machine, pulled by the container's policy as kubelet does: `Always` asks the registry each time,
 * `IfNotPresent` only when missing. One pull at a time per image and credentials, however many wait for it.
 */
export class Images {
  readonly #client: CriClient
  readonly #clock: Clock
  readonly #pulls = new Map<string, Promise<void>>()
  readonly #backoffs = new Map<string, Backoff>()
  readonly #known = new Map<string, { readonly image: CriImage; readonly atMs: number }>()

  constructor(client: CriClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /**
   * The container's image, pulled if need be. Rejects with the reason InvalidImageName, ErrImageNeverPull, ErrImagePull
   * or ImagePullBackOff (Busy, with afterMs); the message is what kubelet shows.
   */
  async ensure(request: ImageRequest, signal: AbortSignal): Promise<CriImage> {
    const { pod, container, fieldPath, tell } = request
    const given = container.image ?? ''
    const { reference } = parseImageName(given)
    const policy = container.imagePullPolicy ?? defaultPullPolicy(given)
    const present = policy === 'Always' ? undefined : await this.#present(reference, signal)
    if (present) {
      tell(happened(fieldPath, 'Pulled', `Container image "${reference}" already present on machine`))
      return present
    }
    if (policy === 'Never') {
      const message = `Container image "${reference}" is not present with pull policy of Never`
      tell(happened(fieldPath, 'ErrImageNeverPull', message, 'Warning'))
      throw new SpillwayError('NotFound', message, { reason: 'ErrImageNeverPull' })
    }
    const key = `${pod.metadata?.uid}_${reference}`
    this.#refuseInBackoff(key, request)
    return this.#pull({ ...request, reference, key }, signal)
  }

  /** Forgets the back-offs of a Pod. */
  forget(uid: string): void {
    for (const key of this.#backoffs.keys()) if (key.startsWith(`${uid}_`)) this.#backoffs.delete(key)
  }

  /** To be called when the runtime could not find an image that was here a moment ago. */
  forgetKnown(): void {
    this.#known.clear()
  }

  async #present(reference: string, signal: AbortSignal): Promise<CriImage | undefined> {
    const known = this.#known.get(reference)
    const nowMs = this.#clock.monotonicMs()
    if (known && nowMs - known.atMs < rememberedMs) return known.image
    const image = await this.#client.imageStatus(reference, signal)
    if (image) this.#known.set(reference, { image, atMs: nowMs })
    else this.#known.delete(reference)
    return image
  }

  #refuseInBackoff(key: string, { container, fieldPath, tell }: ImageRequest): void {
    const backoff = this.#backoffs.get(key)
    const leftMs = backoff ? backoff.untilMs - this.#clock.monotonicMs() : 0
    if (!backoff || leftMs <= 0) return
    const message = `Back-off pulling image "${container.image}"`
    tell(happened(fieldPath, 'BackOff', message))
    throw new SpillwayError('Busy', `${message}: ${backoff.lastError}`, {
      reason: 'ImagePullBackOff',
      afterMs: leftMs,
    })
  }

  async #pull(
    request: ImageRequest & { readonly reference: string; readonly key: string },
    signal: AbortSignal,
  ): Promise<CriImage> {
    const { fieldPath, reference, key, tell } = request
    tell(happened(fieldPath, 'Pulling', `Pulling image "${reference}"`))
    const startedMs = this.#clock.monotonicMs()
    try {
      await this.#pullWithAny(request, signal)
    } catch (error) {
      signal.throwIfAborted()
      throw this.#failed(error, request)
    }
    this.#backoffs.delete(key)
    const image = await this.#client.imageStatus(reference, signal)
    if (!image) throw new SpillwayError('Unavailable', `image "${reference}" vanished right after its pull`)
    this.#known.set(reference, { image, atMs: this.#clock.monotonicMs() })
    const tookMs = Math.round(this.#clock.monotonicMs() - startedMs)
    const took = tookMs < 1000 ? `${tookMs}ms` : `${tookMs / 1000}s`
    tell(
      happened(
        fieldPath,
        'Pulled',
        `Successfully pulled image "${reference}" in ${took} (${took} including waiting). Image size: ${image.size} bytes.`,
      ),
    )
    return image
  }

  #failed(
    error: unknown,
    { container, fieldPath, key, tell }: ImageRequest & { readonly key: string },
  ): SpillwayError {
    const sentence = runtimeSentence(error)
    tell(happened(fieldPath, 'Failed', `Failed to pull image "${container.image}": ${sentence}`, 'Warning'))
    tell(happened(fieldPath, 'Failed', 'Error: ErrImagePull', 'Warning'))
    const before = this.#backoffs.get(key)?.delayMs
    const delayMs = before === undefined ? firstBackoffMs : Math.min(before * 2, longestBackoffMs)
    const untilMs = this.#clock.monotonicMs() + delayMs
    this.#backoffs.set(key, { delayMs, untilMs, lastError: `ErrImagePull: ${sentence}` })
    return new SpillwayError('Busy', sentence, { reason: 'ErrImagePull', cause: error, afterMs: delayMs })
  }

  /** With each credential that fits, the most specific first; without any when none does. */
  async #pullWithAny(
    { pod, container, sources, tell, reference }: ImageRequest & { readonly reference: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { repository } = parseImageName(container.image ?? '')
    const secrets: Secret[] = []
    for (const { name } of pod.spec?.imagePullSecrets ?? []) {
      const secret = name ? await sources.secret(name, signal) : undefined
      if (secret) secrets.push(secret)
      else {
        tell({
          type: 'Warning',
          reason: 'FailedToRetrieveImagePullSecret',
          message: `Unable to retrieve some image pull secrets (${name}); attempting to pull the image may not succeed.`,
        })
      }
    }
    const { auths } = credentialsFor(repository, secrets)
    let failure: unknown
    for (const auth of auths.length > 0 ? auths : [undefined]) {
      try {
        return await this.#pullOnce(reference, auth, signal)
      } catch (error) {
        signal.throwIfAborted()
        failure = error
      }
    }
    throw failure
  }

  async #pullOnce(reference: string, auth: ImageAuth | undefined, signal: AbortSignal): Promise<void> {
    // Pulls with other credentials are others: one Pod's right to an image is not another's.
    const key = JSON.stringify([reference, auth])
    let pull = this.#pulls.get(key)
    if (!pull) {
      // Not bound to the first asker's signal: others may be waiting, and what is pulled is not lost.
      const detached = new AbortController().signal
      pull = this.#client.pullImage(reference, auth, detached).then(() => undefined)
      this.#pulls.set(key, pull)
      const done = (): void => void this.#pulls.delete(key)
      pull.then(done, done)
    }
    await orAborted(pull, signal)
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

async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
