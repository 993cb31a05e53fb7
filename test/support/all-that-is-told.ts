import { readAdmin } from '../../src/cli/admin-client.ts'
import { adminSocketOf } from '../../src/cli/embedded-spillway.ts'
import { events, nodes, virtualNodePools } from '../../src/kube/resources.ts'
import { runSpillway } from './run-spillway.ts'
import type { Story } from './story.ts'

const adminPaths = ['/metrics', '/healthz', '/v1/status', '/v1/check', '/v1/budgets', '/v1/ledger/export']
const nodePaths =
  'metrics metrics/cadvisor metrics/resource metrics/probes stats/summary configz healthz runningpods/'.split(
    ' ',
  )
const commands = [['status'], ['bill'], ['check'], ['ledger', 'verify'], ['ledger', 'export']]

/** What Spillway writes into the cluster, answers and prints, by where. Of Pods, what is not their makers'. */
export async function allThatIsTold(
  story: Story,
  explained: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { api, namespace, signal } = story
  const all = new Map<string, string>()
  const keep = async (place: string, text: Promise<unknown>): Promise<void> => {
    const said = await text
    all.set(place, typeof said === 'string' ? said : JSON.stringify(said))
  }
  const explain = explained.map((name) => ['explain', `${namespace}/${name}`])
  await Promise.all([
    ...story.pods().map(({ metadata: { name, annotations, labels } = {}, status }) => {
      return keep(`status of ${name}`, Promise.resolve({ annotations, labels, status }))
    }),
    keep('events of Pods', api.list(events, { namespace }, signal)),
    keep('events of nodes', api.list(events, { namespace: 'default' }, signal)),
    keep('nodes', api.list(nodes, {}, signal)),
    keep('pools', api.list(virtualNodePools, {}, signal)),
    ...adminPaths.map((path) => keep(`admin ${path}`, adminText(story, path))),
    ...nodePaths.map((path) => keep(`node ${path}`, nodeText(story, path))),
    ...[...commands, ...explain].map((one) => keep(`spillway ${one.join(' ')}`, commandText(story, one))),
  ])
  return all
}

async function adminText({ cluster, signal }: Story, path: string): Promise<string> {
  let text = ''
  for await (const piece of readAdmin({ target: adminSocketOf(cluster) }, path, {}, signal)) text += piece
  return text
}

async function nodeText({ kubectl }: Story, path: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl('get', '--raw', `/api/v1/nodes/burst-0/proxy/${path}`)
  if (code !== 0) throw new Error(`${path}: ${stderr}`)
  return stdout
}

async function commandText({ cluster }: Story, command: readonly string[]): Promise<string> {
  const { stdout, stderr } = await runSpillway('--name', cluster.name, '--json', ...command)
  if (stdout === '') throw new Error(`spillway ${command.join(' ')}: ${stderr}`)
  return `${stdout}${stderr}`
}
