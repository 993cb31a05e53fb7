import { isDeepStrictEqual } from 'node:util'
import { foreignWords, type ForeignPlace } from '../model/foreign-keys.ts'
import type { KubeObject } from '../model/kubernetes.ts'
import { placementLabel, serverOnlyNamespaces } from '../model/words.ts'

/** A MutatingWebhookConfiguration, as far as we look at it. */
export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly Webhook[]
}

/** One webhook of it, complete: what is left out would be filled in by the API server and look like a difference. */
export interface Webhook {
  readonly name: string
  readonly clientConfig?: { readonly url?: string; readonly caBundle?: string }
  readonly [field: string]: unknown
}

/** What a webhook is for: the admission policy of that name does the same inside the API server. */
export const webhookPurposes = ['placement', 'daemonsets'] as const
export type WebhookPurpose = (typeof webhookPurposes)[number]

export interface WebhookSite {
  /** Several instances have webhooks of their own in one configuration. A DNS label. */
  readonly instance: string
  /** As in `https://192.0.2.10:9443`. */
  readonly url: string
  /** Whom the API server is to trust there, PEM. */
  readonly authorities: string
}

/** Paths that the webhooks ask at. */
export const webhookPaths = {
  ofPod: '/placement',
  ofNamespace: '/placement-of-namespace',
  ofForeignNamespace: '/placement-of-foreign-namespace',
  daemonSets: '/daemonsets',
} as const

/** The webhooks of one instance for these purposes. Pure. */
export function webhooksFor(purposes: ReadonlySet<WebhookPurpose>, site: WebhookSite): readonly Webhook[] {
  return [
    ...(purposes.has('placement') ? placementWebhooks(site) : []),
    ...(purposes.has('daemonsets') ? [daemonSetWebhook(site)] : []),
  ]
}

const purposeOfEntry: Readonly<Record<string, WebhookPurpose>> = {
  placement: 'placement',
  'placement-of-namespace': 'placement',
  'placement-of-words': 'placement',
  'placement-of-foreign-namespace': 'placement',
  daemonsets: 'daemonsets',
}

/** What the webhooks of any instance are for, as they stand in a configuration. */
export function purposesIn({ webhooks = [] }: WebhookConfiguration): ReadonlySet<WebhookPurpose> {
  const found = webhooks.map(({ name }) => purposeOfEntry[name.split('.')[0] ?? ''])
  return new Set(found.filter((purpose) => purpose !== undefined))
}

/**
 * The list to write so that the configuration has these webhooks of ours and no others of ours; undefined: it has.
 * Those of other instances stay. Pure.
 */
export function webhooksToWrite(
  { webhooks = [] }: WebhookConfiguration,
  { instance, wanted }: { readonly instance: string; readonly wanted: readonly Webhook[] },
): readonly Webhook[] | undefined {
  const isOurs = ({ name }: Webhook): boolean =>
    name.split('.').slice(1).join('.') === `${instance}.${domain}`
  const ours = webhooks.filter(isOurs)
  const isRight = ours.length === wanted.length && wanted.every((one, index) => says(ours[index], one))
  return isRight ? undefined : [...webhooks.filter((one) => !isOurs(one)), ...wanted]
}

/** Whether it says all that is wanted: newer API servers may add fields of their own. */
function says(found: Webhook | undefined, wanted: Webhook): boolean {
  return (
    found !== undefined &&
    Object.entries(wanted).every(([field, value]) => isDeepStrictEqual(found[field], value))
  )
}

const domain = 'spillway.dev'

/**
 * The API server evaluates their selectors and conditions itself: it asks us of no Pod but those that somebody says are to
 * be sent out, so that nobody else's Pods wait for us. The Pod's own label wins over its namespace's; the last two are about
 * words of other products, which count where there is no label of ours.
 */
function placementWebhooks(site: WebhookSite): readonly Webhook[] {
  const rules = [rule({ group: '', resource: 'pods', operations: ['CREATE'] })]
  const elsewhere = {
    key: 'kubernetes.io/metadata.name',
    operator: 'NotIn',
    values: [...serverOnlyNamespaces],
  }
  const isVirtual = { matchLabels: { [placementLabel]: 'virtual' } }
  const isSilent = { key: placementLabel, operator: 'DoesNotExist' }
  return [
    webhook(site, {
      entry: 'placement',
      path: webhookPaths.ofPod,
      rules,
      namespaceSelector: { matchExpressions: [elsewhere] },
      objectSelector: isVirtual,
    }),
    webhook(site, {
      entry: 'placement-of-namespace',
      path: webhookPaths.ofNamespace,
      rules,
      namespaceSelector: { ...isVirtual, matchExpressions: [elsewhere] },
      objectSelector: { matchExpressions: [isSilent] },
    }),
    webhook(site, {
      entry: 'placement-of-words',
      path: webhookPaths.ofPod,
      rules,
      namespaceSelector: { matchExpressions: [elsewhere, isSilent] },
      objectSelector: { matchExpressions: [isSilent] },
      matchConditions: [{ name: 'says-virtual', expression: saysVirtual() }],
    }),
    webhook(site, {
      entry: 'placement-of-foreign-namespace',
      path: webhookPaths.ofForeignNamespace,
      rules,
      namespaceSelector: { matchLabels: foreignNamespaceLabels, matchExpressions: [elsewhere, isSilent] },
      objectSelector: { matchExpressions: [isSilent] },
    }),
  ]
}

/** Words of other products that send out, with the value that does; `*` for any. */
function virtualWords(place: ForeignPlace): readonly { key: string; value: string; ofNamespace: boolean }[] {
  return foreignWords.flatMap(({ at, keys, meaning, ofNamespace = false }) => {
    if (at !== place || meaning.kind !== 'placement') return []
    const values = Object.entries(meaning.values).flatMap(([value, to]) => (to === 'virtual' ? [value] : []))
    return keys.flatMap((key) => values.map((value) => ({ key, value, ofNamespace })))
  })
}

/** In CEL. Whether another word of the Pod's keeps it in is asked by us. */
function saysVirtual(): string {
  const clauses = (['label', 'annotation'] as const).flatMap((at) =>
    virtualWords(at).map(({ key, value }) => {
      const all = `object.metadata.${at}s`
      const is = value === '*' ? '' : ` && ${all}['${key}'] == '${value}'`
      return `has(${all}) && '${key}' in ${all}${is}`
    }),
  )
  return clauses.join(' || ')
}

/** Labels of a namespace that send out what is in it, in another product's words. All of one selector: there is one. */
export const foreignNamespaceLabels: Readonly<Record<string, string>> = Object.fromEntries(
  virtualWords('label').flatMap(({ key, value, ofNamespace }) => (ofNamespace ? [[key, value]] : [])),
)

/** In every namespace: kube-system's are the ones that tolerate everything. */
function daemonSetWebhook(site: WebhookSite): Webhook {
  return webhook(site, {
    entry: 'daemonsets',
    path: webhookPaths.daemonSets,
    rules: [rule({ group: 'apps', resource: 'daemonsets', operations: ['CREATE', 'UPDATE'] })],
    namespaceSelector: {},
    objectSelector: {},
  })
}

interface WebhookParts {
  readonly entry: string
  readonly path: string
  readonly rules: readonly object[]
  readonly namespaceSelector: object
  readonly objectSelector: object
  readonly matchConditions?: readonly object[]
}

function webhook({ instance, url, authorities }: WebhookSite, parts: WebhookParts): Webhook {
  const { entry, path, ...selection } = parts
  return {
    name: `${entry}.${instance}.${domain}`,
    clientConfig: { url: `${url}${path}`, caBundle: Buffer.from(authorities).toString('base64') },
    ...selection,
    matchPolicy: 'Equivalent',
    // What we miss is created all the same, as it is, and said to be missed in an event.
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    // How long a Pod may wait for a machine that does not answer; where nobody listens it is refused at once.
    timeoutSeconds: 2,
  }
}

function rule(wish: { group: string; resource: string; operations: readonly string[] }): object {
  const { group, resource, operations } = wish
  return { apiGroups: [group], apiVersions: ['v1'], operations, resources: [resource], scope: '*' }
}
