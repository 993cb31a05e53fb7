import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { KubeObject } from '../model/kubernetes.ts'

/** What an object is changed by as it is created: JSON Patch (RFC 6902) that only adds. */
export interface AddStep {
  readonly op: 'add'
  readonly path: string
  readonly value: unknown
}

/** What is to be added to an object before it is stored; nothing: it stays as it is. Pure. */
export type Mutation = (object: KubeObject) => readonly AddStep[]

interface AdmissionReview {
  readonly apiVersion?: unknown
  readonly kind?: unknown
  readonly request?: {
    readonly uid?: unknown
    readonly namespace?: unknown
    readonly object?: unknown
  }
}

const apiVersion = 'admission.k8s.io/v1'

/**
 * The answer to an AdmissionReview of the API server, both as JSON. Everything is allowed: who is to be refused is not
 * our business. Rejected, naming the field, for what is no review.
 */
export function answerReview(text: string, mutate: Mutation): string {
  const review = parsed(text)
  if (review.apiVersion !== apiVersion || review.kind !== 'AdmissionReview') {
    throw rejected(
      `apiVersion and kind: found ${told(review.apiVersion)} ${told(review.kind)}; allowed: ${apiVersion} AdmissionReview`,
    )
  }
  const { uid, namespace, object } = review.request ?? {}
  if (typeof uid !== 'string' || uid === '')
    throw rejected(`request.uid: found ${told(uid)}; a text is needed`)
  if (!isObject(object)) throw rejected(`request.object: found ${told(object)}; an object is needed`)
  const steps = mutate(inNamespace(object, namespace))
  const patch = Buffer.from(JSON.stringify(steps)).toString('base64')
  const response = { uid, allowed: true, ...(steps.length > 0 && { patchType: 'JSONPatch', patch }) }
  return JSON.stringify({ apiVersion, kind: 'AdmissionReview', response })
}

/** The request says for sure where the object is created; the object may leave it out. */
function inNamespace(object: KubeObject, namespace: unknown): KubeObject {
  return typeof namespace === 'string' ? { ...object, metadata: { ...object.metadata, namespace } } : object
}

function parsed(text: string): AdmissionReview {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw rejected(`not JSON: ${errorMessage(error)}`, error)
  }
  if (!isObject(value)) throw rejected(`found ${told(value)}; an AdmissionReview is needed`)
  return value
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function told(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}

function rejected(message: string, cause?: unknown): SpillwayError {
  return new SpillwayError('Rejected', `admission review: ${message}`, { cause })
}
