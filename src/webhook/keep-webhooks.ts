import { backoffMs, type BackoffPolicy } from '../control/backoff.ts'
import type { KubeApi } from '../kube/api.ts'
import { mutatingWebhookConfigurations } from '../kube/resources.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage, hasCode } from '../model/errors.ts'
import { webhookConfigurationName } from '../model/words.ts'
import type { Log } from '../telemetry/log.ts'
import type { Mutation } from './admission-review.ts'
import { keepWebhookCertificate } from './webhook-certificate.ts'
import {
  webhooksFor,
  webhooksToWrite,
  type WebhookConfiguration,
  type WebhookPurpose,
} from './webhook-configuration.ts'
import { WebhookServer } from './webhook-server.ts'

export interface KeepWebhooksOptions {
  readonly api: Pick<KubeApi, 'get' | 'patch'>
  readonly instance: string
  /** An IP address of this machine by which the API server comes. */
  readonly listen: { readonly address: string; readonly port: number }
  /** Folder of the certificate. */
  readonly folder: string
  readonly mutations: ReadonlyMap<string, Mutation>
  /** What no admission policy does on this cluster. */
  readonly purposes: (signal: AbortSignal) => Promise<ReadonlySet<WebhookPurpose>>
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** How soon it is seen that the configuration was applied, changed or taken away. */
const lookAgainMs = 10_000

/** Nobody waits for us, and who lacks a right lacks it for long. */
const backoff: BackoffPolicy = { firstMs: 1_000, longestMs: 60_000, factor: 2, jitter: 0.2 }

/**
 * Serves the admission webhooks of this instance wherever people have applied deploy/admission-webhook.yaml, and has
 * them stand in it, until the signal is aborted. What an admission policy does is left to that. Never rejects for what
 * the API server does: without us Pods are created as they are.
 */
export async function keepWebhooks(options: KeepWebhooksOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = options
  const keeper = new WebhookKeeper(options)
  let failures = 0
  try {
    while (!signal.aborted) {
      try {
        await keeper.look(signal)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        log.warn({ failures, error: errorMessage(error) }, 'admission webhook not in force')
      }
      const waitMs = failures === 0 ? lookAgainMs : backoffMs(backoff, failures, random())
      await clock.sleep(waitMs, signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await keeper.close()
  }
}

class WebhookKeeper {
  readonly #options: KeepWebhooksOptions
  #server: WebhookServer | undefined

  constructor(options: KeepWebhooksOptions) {
    this.#options = options
  }

  async look(signal: AbortSignal): Promise<void> {
    const configuration = await this.#configuration(signal)
    const purposes = configuration && (await this.#options.purposes(signal))
    if (!configuration || !purposes || purposes.size === 0) {
      if (configuration) await this.#write(configuration, [], signal)
      return await this.close()
    }
    const { folder, listen, instance, clock, log } = this.#options
    const { pair, authorities } = await keepWebhookCertificate({
      folder,
      address: listen.address,
      clock,
      log,
    })
    try {
      await this.#serve(pair)
    } catch (error) {
      // The API server must not wait for nobody.
      await this.#write(configuration, [], signal)
      throw error
    }
    const url = `https://${listen.address.includes(':') ? `[${listen.address}]` : listen.address}:${listen.port}`
    await this.#write(configuration, webhooksFor(purposes, { instance, url, authorities }), signal)
  }

  async close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    await server?.close()
  }

  /** Undefined: it was not applied, or we may not look, which `spillway check` tells of. */
  async #configuration(signal: AbortSignal): Promise<WebhookConfiguration | undefined> {
    try {
      const name = webhookConfigurationName
      return await this.#options.api.get<WebhookConfiguration>(
        mutatingWebhookConfigurations,
        { name },
        signal,
      )
    } catch (error) {
      if (hasCode(error, 'NotFound') || hasCode(error, 'Forbidden')) return undefined
      throw error
    }
  }

  async #serve(pair: Parameters<WebhookServer['setPair']>[0]): Promise<void> {
    if (this.#server) return this.#server.setPair(pair)
    const { listen, mutations, log } = this.#options
    const server = new WebhookServer({ listen, pair, mutations, log })
    await server.listen()
    this.#server = server
  }

  async #write(
    configuration: WebhookConfiguration,
    wanted: ReturnType<typeof webhooksFor>,
    signal: AbortSignal,
  ): Promise<void> {
    const { api, instance, log } = this.#options
    const webhooks = webhooksToWrite(configuration, { instance, wanted })
    if (webhooks === undefined) return
    // Another instance may be writing its own.
    const body = { metadata: { resourceVersion: configuration.metadata?.resourceVersion }, webhooks }
    const name = webhookConfigurationName
    await api.patch(mutatingWebhookConfigurations, { name }, { type: 'merge', body }, signal)
    log.info({ webhooks: wanted.map((one) => one.name) }, 'admission webhooks written')
  }
}
