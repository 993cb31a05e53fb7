import { events } from '../../src/kube/resources.ts'
import type { CoreEvent } from '../../src/model/kubernetes.ts'
import type { Story } from './story.ts'

/** What the Pods of a story say of their first container's image. */
export interface PullStories {
  waitingReason(name: string): string | undefined
  waitingMessage(name: string): string | undefined
  /** Of the Pod's events of that reason. */
  messagesOf(name: string, reason: string): Promise<string[]>
  /** By the last event of a round that backs off. */
  toldOfBackoff(name: string): Promise<boolean>
  /** What was told about the image, and nothing that differs from one attempt to the next. */
  pullStory(name: string): Promise<string[]>
}

const ofImages = ['Pulling', 'Pulled', 'Failed', 'BackOff', 'InspectFailed', 'ErrImageNeverPull']

export function pullStories(told: { readonly current: Story }): PullStories {
  const waiting = (name: string) => told.current.pod(name)?.status?.containerStatuses?.[0]?.state?.waiting
  const eventsOf = async (name: string): Promise<readonly CoreEvent[]> => {
    const { api, namespace, signal } = told.current
    const fieldSelector = `involvedObject.name=${name}`
    return (await api.list(events, { namespace, fieldSelector }, signal)).items
  }
  const messagesOf = async (name: string, wanted: string): Promise<string[]> =>
    (await eventsOf(name)).filter(({ reason }) => reason === wanted).map(({ message }) => message ?? '')
  return {
    waitingReason: (name) => waiting(name)?.reason,
    waitingMessage: (name) => waiting(name)?.message,
    messagesOf,
    toldOfBackoff: async (name) => (await messagesOf(name, 'Failed')).includes('Error: ImagePullBackOff'),
    pullStory: async (name) => {
      const about = (await eventsOf(name)).filter(({ reason }) => ofImages.includes(reason ?? ''))
      return [...new Set(about.map(({ type, reason, message }) => `${type} ${reason} ${message}`))].sort()
    },
  }
}
