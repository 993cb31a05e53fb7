import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readPair, writePair } from '../kube/certificate-file.ts'
import type { Clock } from '../model/clock.ts'
import { errorMessage } from '../model/errors.ts'
import type { PemPair } from '../model/pem-pair.ts'
import type { Log } from '../telemetry/log.ts'
import { makeGeneration, readGeneration, type Generation } from './generation.ts'
import { planGenerations, type Generations } from './plan-generations.ts'

export interface WebhookCertificateOptions {
  /** Where they are kept: `webhook.pem` and `webhook-next.pem`. */
  readonly folder: string
  /** IP address by which the API server comes. */
  readonly address: string
  readonly clock: Clock
  readonly log: Log
}

export interface KeptCertificate {
  /** To serve with. */
  readonly pair: PemPair
  /** What the API server is to trust: the authorities of now and of later, PEM. */
  readonly authorities: string
}

/** The certificate as it is to be now; made, renewed and kept as is due. Called again and again. */
export async function keepWebhookCertificate(options: WebhookCertificateOptions): Promise<KeptCertificate> {
  const { folder, address, clock, log } = options
  const file = join(folder, 'webhook.pem')
  const nextFile = join(folder, 'webhook-next.pem')
  let held: Generations = { current: await stored(file, log), next: await stored(nextFile, log) }
  const nowMs = clock.wallMs()
  const step = planGenerations(held, { address, nowMs })
  if (step === 'first') {
    held = { current: await makeGeneration(address, nowMs), next: undefined }
    await rm(nextFile, { force: true })
  } else if (step === 'next') {
    held = { ...held, next: await makeGeneration(address, nowMs) }
  } else if (step === 'switch') {
    held = { current: held.next, next: undefined }
  }
  const { current, next } = held
  if (current === undefined) throw new Error(`step ${step} left no certificate`)
  if (step === 'next' && next) await writePair(nextFile, next.pair)
  if (step === 'first' || step === 'switch') {
    await writePair(file, current.pair)
    await rm(nextFile, { force: true })
  }
  if (step !== 'keep') {
    const until = new Date(current.notAfterMs).toISOString()
    log.info({ step, until }, 'certificate of the admission webhook renewed')
  }
  return { pair: current.pair, authorities: `${current.authority}${next?.authority ?? ''}` }
}

async function stored(file: string, log: Log): Promise<Generation | undefined> {
  try {
    const pair = await readPair(file)
    return pair && readGeneration(pair)
  } catch (error) {
    log.warn({ file, error: errorMessage(error) }, 'stored certificate not usable, making a new one')
    return undefined
  }
}
