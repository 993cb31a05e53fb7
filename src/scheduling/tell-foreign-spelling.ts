import { once } from 'node:events'
import type { Store } from '../kube/api.ts'
import type { EventNote, EventSink } from '../kube/events.ts'
import { controllerOf } from '../model/controller-of.ts'
import type { KubeObject, Namespace, Pod } from '../model/kubernetes.ts'
import { podRef } from '../model/pod-key.ts'
import { isOver } from './cluster-picture.ts'
import { foreignSpelling, type SpellingLine } from './foreign-spelling.ts'

export interface ForeignSpellingOptions {
  readonly pods: Store<Pod>
  readonly namespaces: Store<Namespace>
  readonly events: EventSink
}

/**
 * Tells people of each Pod that speaks another product's language what was made of it, in one event, as the Pod comes.
 * A restart tells again of those that are not bound yet: the API server forgets events, and has no place for "was told".
 * Resolves when the signal is aborted.
 */
export async function tellForeignSpellings(
  { pods, namespaces, events }: ForeignSpellingOptions,
  signal: AbortSignal,
): Promise<void> {
  /** By UID: their namespace, which may speak too, has not come in yet. */
  const early = new Map<string, Pod>()
  const tell = (pod: Pod): void => {
    const namespace = namespaces.get({ name: pod.metadata?.namespace ?? '' })
    if (!namespace) return void early.set(pod.metadata?.uid ?? '', pod)
    const note = isOurs(pod) ? foreignSpellingNote(pod, foreignSpelling(pod, namespace)) : undefined
    if (note) events.record(note)
  }
  try {
    await Promise.all([pods, namespaces].map((store: Store<KubeObject>) => store.whenSynced(signal)))
  } catch (error) {
    if (signal.aborted) return
    throw error
  }
  const ends = [
    pods.subscribe(({ before, after }) => {
      if (before && !after) early.delete(before.metadata?.uid ?? '')
      if (after && !before) tell(after)
    }),
    namespaces.subscribe(({ after }) => {
      const name = after?.metadata?.name
      for (const [uid, pod] of early) {
        if (pod.metadata?.namespace !== name) continue
        early.delete(uid)
        tell(pod)
      }
    }),
  ]
  for (const pod of pods.list()) if (!pod.spec?.nodeName) tell(pod)
  if (!signal.aborted) await once(signal, 'abort')
  for (const end of ends) end()
}

/** Whether anything of ours could concern it. */
function isOurs(pod: Pod): boolean {
  const owner = controllerOf(pod)?.kind
  return !isOver(pod) && owner !== 'DaemonSet' && owner !== 'Node'
}

/** The recorder cuts at 1024; what is cut here says so. */
const longestMessage = 1000

/** Undefined when there is nothing to tell: words that do nothing, and that nobody misses, are left to `explain`. */
export function foreignSpellingNote(pod: Pod, lines: readonly SpellingLine[]): EventNote | undefined {
  if (lines.every(({ becomes }) => becomes === 'needless')) return undefined
  const products = [...new Set(lines.map(({ product }) => product))].join(' and ')
  const parts = (['translated', 'lost'] as const).flatMap((becomes) => sentences(lines, becomes))
  let message = `written for ${products}.`
  for (const [index, part] of parts.entries()) {
    const more = `${message} ${part}.`
    if (more.length > longestMessage) {
      message += ` And ${parts.length - index} more: spillway explain tells them.`
      break
    }
    message = more
  }
  const type = lines.some(({ becomes }) => becomes === 'lost') ? 'Warning' : 'Normal'
  const object = { apiVersion: 'v1', kind: 'Pod', ...podRef(pod) }
  return { object, type, reason: 'ForeignSpelling', message }
}

/** What several words have in common is said once. */
function sentences(lines: readonly SpellingLine[], becomes: SpellingLine['becomes']): readonly string[] {
  const wordsBySaying = new Map<string, string[]>()
  for (const line of lines) {
    if (line.becomes !== becomes) continue
    wordsBySaying.set(line.says, [...(wordsBySaying.get(line.says) ?? []), line.word])
  }
  return [...wordsBySaying].map(([says, words]) =>
    becomes === 'translated' ? `${words.join(', ')} → ${says}` : `Lost: ${words.join(', ')} (${says})`,
  )
}
