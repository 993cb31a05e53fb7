import { guardOf, type FileGuard, type FoundFile } from './search-files.ts'
import { storySandbox } from './shared-cluster.ts'
import type { Story } from './story.ts'

/** A file that has to hold secrets. */
export interface Holder {
  readonly what: string
  /** In the cluster's folder, or from the root. */
  readonly path: RegExp
  /** Names of the secrets; others would be misplaced there. */
  readonly holds: RegExp
  /** Left out: whose matter it is. */
  readonly guard?: keyof FileGuard
  /** With its Pod. */
  readonly goes: boolean
}

const always: readonly Holder[] = [
  { what: 'the API server’s store', path: /^etcd\//, holds: /^(?!key )/, guard: 'isShut', goes: false },
  {
    what: 'keys',
    path: /^(spillway\/)?pki\/|^spillway\.kubeconfig$/,
    holds: /^key /,
    guard: 'isOwners',
    goes: false,
  },
  {
    what: 'volumes',
    path: /^spillway\/pods\/pods\/[^/]+\/volumes\//,
    holds: /volume|^token /,
    guard: 'isInMemory',
    goes: true,
  },
  {
    what: 'containerd, of what runs',
    path: /^\/run\/containerd\/virtual\/.+\/config\.json$/,
    holds: /^variable|^envFrom/,
    guard: 'isInMemory',
    goes: true,
  },
  // What was deleted stays in its pages until they are written anew.
  {
    what: 'containerd’s database',
    path: /^containerd-virtual\/root\/io\.containerd\.metadata\.v1\.bolt\/meta\.db$/,
    holds: /^variable|^envFrom/,
    guard: 'isShut',
    goes: false,
  },
  // For the status of its container, which shows it.
  {
    what: 'what a failed postStart hook wrote',
    path: /^spillway\/pods\/pods\/[^/]+\/containers\/main\/\d+\.json$/,
    holds: /^variable/,
    guard: 'isOwners',
    goes: true,
  },
]

/** gVisor keeps specifications of its own, and names all of a command line when a program does not begin. */
const onGvisor: readonly Holder[] = [
  {
    what: 'gVisor, of what runs',
    path: /^\/run\/containerd\/virtual\/runsc\//,
    holds: /^variable|^envFrom/,
    guard: 'isInMemory',
    goes: true,
  },
  {
    what: 'containerd, of what did not begin',
    path: /^containerd-virtual\/root\/io\.containerd\.grpc\.v1\.cri\/containers\//,
    holds: /^variable/,
    guard: 'isShut',
    goes: true,
  },
  {
    what: 'the log of a container that did not begin',
    path: /^spillway\/pods\/logs\/[^/]+programless/,
    holds: /^variable/,
    guard: 'isShut',
    goes: true,
  },
  {
    what: 'containerd’s log',
    path: /^logs\/containerd-virtual\.log$/,
    holds: /^variable|^argument of kubectl exec/,
    goes: false,
  },
]

export const holders = [...always, ...(storySandbox === 'gvisor' ? onGvisor : [])]

export function holderOf({ cluster }: Story, path: string): Holder | undefined {
  const folder = `${cluster.stateDir}/`
  const short = path.startsWith(folder) ? path.slice(folder.length) : path
  return holders.find((holder) => holder.path.test(short))
}

/** What is where it must not be, or open to others there. */
export async function misplaced(story: Story, found: readonly FoundFile[]): Promise<string[]> {
  const problems: string[] = []
  for (const { path, secrets } of found) {
    const holder = holderOf(story, path)
    const wrong = secrets.filter((name) => !holder?.holds.test(name))
    if (wrong.length > 0) problems.push(`${path} holds: ${wrong.join(', ')}`)
    const { guard } = holder ?? {}
    if (guard && !(await guardOf(story, path))[guard]) problems.push(`${path}: not ${guard}`)
  }
  return problems
}
