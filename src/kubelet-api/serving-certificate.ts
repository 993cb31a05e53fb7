import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { PemPair } from '../model/pem-pair.ts'
import type { Log } from '../telemetry/log.ts'

/** What a listener serves with, now and later. */
export interface ServingCertificate {
  readonly current: PemPair
  /** Calls back with each later pair. Returns the end of the subscription. */
  onChange(listener: (pair: PemPair) => void): () => void
}

/** One that is set anew by whoever renews it: a CSR loop, a file watch. */
export class ChangingCertificate implements ServingCertificate {
  #current: PemPair
  readonly #listeners = new Set<(pair: PemPair) => void>()

  constructor(first: PemPair) {
    this.#current = first
  }

  get current(): PemPair {
    return this.#current
  }

  /** Throws when certificate and key do not fit together, and keeps the old ones. */
  set(pair: PemPair): void {
    if (pair.cert === this.#current.cert && pair.key === this.#current.key) return
    createSecureContext({ cert: pair.cert, key: pair.key })
    this.#current = pair
    for (const listener of this.#listeners) listener(pair)
  }

  onChange(listener: (pair: PemPair) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

/**
 * Reads the two files, and again when they change. Half-written pairs are waited out. Rejects with ConfigInvalid when
 * they cannot be read now.
 */
export async function fileCertificate(
  { certFile, keyFile, log }: { readonly certFile: string; readonly keyFile: string; readonly log: Log },
  signal: AbortSignal,
): Promise<ServingCertificate> {
  const read = async (): Promise<PemPair> => {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    return { cert, key }
  }
  const first = await read().catch((error: unknown) => {
    const message = `nodeApi.servingCertificate: ${certFile} and ${keyFile}: ${errorMessage(error)}`
    throw new SpillwayError('ConfigInvalid', message, { cause: error })
  })
  const certificate = new ChangingCertificate(first)
  const reload = async (): Promise<void> => {
    try {
      certificate.set(await read())
    } catch (error) {
      // The other file of the pair is about to follow; its change brings us here again.
      log.warn({ certFile, keyFile, error: errorMessage(error) }, 'serving certificate not reloaded')
    }
  }
  // Directories: whoever renews replaces the files, and a watch of the old file would see no more.
  for (const directory of new Set([dirname(certFile), dirname(keyFile)])) {
    const watcher = watch(directory, { signal, persistent: false }, () => void reload())
    watcher.on('error', (error) =>
      log.warn({ directory, error: error.message }, 'serving certificate not watched'),
    )
  }
  return certificate
}
