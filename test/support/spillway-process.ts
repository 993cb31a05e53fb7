import type { StatusView } from '../../src/console/api/contract.ts'
import { nodes } from '../../src/kube/resources.ts'
import type { Story } from './story.ts'

/** SIGKILL, to what Spillway is in the story's cluster. */
export async function killSpillway({ running, signal }: Story): Promise<void> {
  await running.killComponent('spillway', signal)
}

/** Resolves when it says that its nodes are ready. Does nothing when it runs. */
export async function startSpillway({ running, signal, until, admin }: Story): Promise<void> {
  await running.startComponent('spillway', signal)
  const isUp = async (): Promise<boolean> => {
    try {
      return ((await admin('/v1/status')) as StatusView).nodes.every(({ ready }) => ready)
    } catch {
      return false
    }
  }
  await until('Spillway is up again', isUp)
}

/** Whether the virtual nodes say that their containerd is well. */
export async function backendsReady({ api, signal }: Story): Promise<boolean> {
  const { items } = await api.list(nodes, { labelSelector: 'spillway.dev/pool=burst' }, signal)
  return items.every(({ status }) =>
    status?.conditions?.some(
      ({ type, status: value }) => type === 'spillway.dev/BackendReady' && value === 'True',
    ),
  )
}
