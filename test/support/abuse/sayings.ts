import { events, pods } from '../../../src/kube/resources.ts'
import type { ContainerStatus } from '../../../src/model/kubernetes.ts'
import type { Story } from '../story.ts'

const logLines = 200

/** All that is told about a Pod, a line each: its status, its containers', its events with their number, its logs. */
export async function sayings({ api, namespace, pod, signal }: Story, name: string): Promise<string> {
  const fieldSelector = `involvedObject.name=${name}`
  const { items } = await api.list(events, { namespace, fieldSelector }, signal)
  const { status } = pod(name) ?? {}
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  const ended = statuses.filter(({ state }) => state?.terminated)
  const logs = ended.map(async ({ name: container }) => {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=${logLines}`
    // What never ran has none.
    const text = await api.getText(path, signal).catch(() => '')
    const lines = text.split('\n').filter((line) => line !== '')
    return lines.map((line) => (container === 'main' ? line : `${container}: ${line}`))
  })
  return [
    `${status?.reason}: ${status?.message}`,
    ...statuses.flatMap(describe),
    ...items.map(
      ({ reason, message, count, series }) =>
        `${reason}: ${onOneLine(message)} ×${series?.count ?? count ?? 1}`,
    ),
    ...(await Promise.all(logs)).flat(),
  ].join('\n')
}

/** Unless it is over, or something keeps it from going on. */
function describe({ name, state, lastState }: ContainerStatus): readonly string[] {
  const waiting = state?.waiting && [
    `${name}: waiting ${state.waiting.reason} ${onOneLine(state.waiting.message)}`,
  ]
  const ends = [state?.terminated, lastState?.terminated].flatMap((end) =>
    end ? [`${name}: terminated ${end.reason} ${end.exitCode} ${onOneLine(end.message)}`] : [],
  )
  return [...(waiting ?? []), ...ends]
}

function onOneLine(text = ''): string {
  return text.replaceAll('\n', ' ')
}

/** Pods of the story that are there no longer, whatever becomes of others. */
export async function removePods(
  { api, namespace, pod, signal, until }: Story,
  names: readonly string[],
): Promise<void> {
  for (const name of names) await api.delete(pods, { namespace, name }, {}, signal)
  await until('they are gone', () => names.every((name) => pod(name) === undefined), 120_000)
}
