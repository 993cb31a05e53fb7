import { Command } from 'commander'
import type { KubeApi } from '../../kube/api.ts'
import { virtualNodePools } from '../../kube/resources.ts'
import { hasCode, SpillwayError } from '../../model/errors.ts'
import { forceDeleteAnnotation } from '../../model/words.ts'
import { clusterAsUser } from '../cluster-client.ts'
import type { CliContext } from '../context.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { listPools, readPool, wholePool, type PoolPicture, type WholePool } from '../pool-picture.ts'
import { formatTable } from '../table.ts'
import { formatDuration } from '../times.ts'

interface Session {
  readonly api: KubeApi
  readonly output: Output
  readonly json: boolean
  readonly force: boolean
  readonly context: CliContext
}

/** How often a pool that is waited for is looked at. */
const lookMs = 500
/** Of one that is only shown: Spillway may not be running. */
const mostLooks = 6

/** `spillway pool …`: what kubectl does with VirtualNodePools, and waiting for its end. With the user's own rights. */
export function poolCommand(context: CliContext): Command {
  const pool = new Command('pool').description('pools of virtual nodes: see, scale, cordon, drain, delete')
  const verb = (name: string, description: string): Command =>
    pool.command(name).description(description).copyInheritedSettings(pool)
  verb('list', 'all pools').action(
    inSession(context, async (session) => {
      const pools = await listPools(session.api, context.signal)
      show(session, pools, () => formatPools(pools, context.clock.wallMs()))
    }),
  )
  verb('show', 'one pool: its state and why, its nodes, what has happened')
    .argument('<pool>')
    .action(inSession(context, async (session, name = '') => showPool(session, name)))
  verb('scale', 'give it that many nodes')
    .argument('<pool>')
    .argument('<replicas>')
    .action(
      inSession(context, async (session, name = '', replicas = '') => {
        await change(session, name, { replicas: wholeNumber('replicas', replicas) })
      }),
    )
  const switches = [
    ['cordon', 'its nodes take no new Pods', { cordoned: true }],
    ['uncordon', 'its nodes take Pods again', { cordoned: false, drained: false }],
  ] as const
  for (const [name, description, spec] of switches) {
    verb(name, description)
      .argument('<pool>')
      .action(inSession(context, async (session, of = '') => change(session, of, spec)))
  }
  verb('drain', 'cordon it and evict its Pods; waits until they are gone')
    .argument('<pool>')
    .action(inSession(context, drain))
  verb('delete', 'delete it; waits until its nodes are gone')
    .argument('<pool>')
    .option(
      '--force',
      'although Pods run there: they are evicted, and deleted after drainTimeoutSeconds',
      false,
    )
    .action(inSession(context, remove))
  return pool
}

function inSession(
  context: CliContext,
  action: (session: Session, ...args: string[]) => Promise<void>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command
    const { force = false, ...options } = {
      ...globalOptions(command),
      ...command.opts<{ force?: boolean }>(),
    }
    const api = await clusterAsUser(options, context)
    try {
      const output = new Output(context.stdout, context.environment)
      await action({ api, output, json: options.json, force, context }, ...command.args)
    } finally {
      await api.close()
    }
  }
}

async function change(session: Session, name: string, spec: object): Promise<void> {
  const { api, context } = session
  await readPool(api, name, context.signal)
  const patch = { type: 'merge', body: { spec } } as const
  const { metadata } = await api.patch(virtualNodePools, { name }, patch, context.signal)
  // Shown too soon it would say what was before.
  for (let look = 0; look < mostLooks; look += 1) {
    const { status } = await readPool(api, name, context.signal)
    if ((status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0)) break
    await context.clock.sleep(lookMs, context.signal)
  }
  await showPool(session, name)
}

async function drain(session: Session, name = ''): Promise<void> {
  const { api, context } = session
  await readPool(api, name, context.signal)
  await api.patch(
    virtualNodePools,
    { name },
    { type: 'merge', body: { spec: { drained: true } } },
    context.signal,
  )
  await watch(session, name, ({ state, pods }) => state === 'Drained' && pods === 0)
  await showPool(session, name)
}

async function remove(session: Session, name = ''): Promise<void> {
  const { api, context, output, json, force } = session
  await readPool(api, name, context.signal)
  if (force) {
    const body = { metadata: { annotations: { [forceDeleteAnnotation]: 'true' } } }
    await api.patch(virtualNodePools, { name }, { type: 'merge', body }, context.signal)
  }
  await api.delete(virtualNodePools, { name }, {}, context.signal)
  await watch(session, name, () => false)
  if (json) output.json({ name, deleted: true })
  else output.line(`Pool ${name} is gone, and its nodes are.`)
}

/** Shows each new message until it holds, or the pool is gone. */
async function watch(session: Session, name: string, holds: (pool: PoolPicture) => boolean): Promise<void> {
  const { api, context } = session
  const progress = new Output(context.stderr, context.environment)
  let told = ''
  for (;;) {
    const pool = await lookAt(api, name, context.signal)
    if (!pool || holds(pool)) return
    if (pool.message !== told) progress.line(`${name}: ${pool.message}`)
    told = pool.message
    await context.clock.sleep(lookMs, context.signal)
  }
}

async function lookAt(api: KubeApi, name: string, signal: AbortSignal): Promise<PoolPicture | undefined> {
  try {
    return (await listPools(api, signal)).find((pool) => pool.name === name)
  } catch (error) {
    // The definition went with its last pool.
    if (hasCode(error, 'NotFound')) return undefined
    throw error
  }
}

async function showPool(session: Session, name: string): Promise<void> {
  const { api, context } = session
  const pool = await wholePool(api, name, context.signal)
  show(session, pool, () => formatPool(pool, context.clock.wallMs()))
}

function show({ output, json }: Session, value: unknown, text: () => string): void {
  if (json) output.json(value)
  else output.write(text())
}

function wholeNumber(field: string, text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new SpillwayError('Usage', `${field}: found "${text}"; allowed: a whole number from 0 to 5000`)
}

/** As `kubectl get vnp`, with what is the matter where something is. */
export function formatPools(pools: readonly PoolPicture[], nowMs: number): string {
  if (pools.length === 0) return 'There are no pools.\n'
  const columns = [
    { title: 'pool' },
    { title: 'desired', right: true },
    { title: 'nodes', right: true },
    { title: 'ready', right: true },
    { title: 'pods', right: true },
    { title: 'state' },
    { title: 'backend' },
    { title: 'price book' },
    { title: 'age', right: true },
  ]
  const rows = pools.map((pool) => [
    pool.name,
    ...[pool.desired, pool.nodes, pool.ready, pool.pods].map(String),
    pool.state,
    pool.backend,
    pool.priceBook,
    formatDuration(nowMs - pool.createdMs),
  ])
  const troubled = pools.filter(({ state }) => state !== 'Ready')
  const why = troubled.map(({ name, message }) => `${name}: ${message}\n`).join('')
  return formatTable(columns, rows) + (why && `\n${why}`)
}

/** The pool, its nodes and its events. */
export function formatPool(pool: WholePool, nowMs: number): string {
  const nodes = formatTable(
    [
      { title: 'node' },
      { title: 'status' },
      { title: 'pods', right: true },
      { title: 'cpu', right: true },
      { title: 'memory', right: true },
    ],
    pool.nodeList.map((node) => [
      node.name,
      node.status,
      `${node.pods}/${node.podLimit}`,
      node.cpu,
      node.memory,
    ]),
  )
  const events = formatTable(
    [{ title: 'ago', right: true }, { title: 'event' }, { title: 'message' }],
    pool.events.map(({ atMs, reason, message }) => [formatDuration(nowMs - atMs), reason, message]),
  )
  return [
    `Pool ${pool.name}: ${pool.state}\n  ${pool.message}\n  backend ${pool.backend}, price book ${pool.priceBook}${pool.purchase === 'spot' ? ' as spot' : ''}, nodes wanted: ${pool.desired}\n`,
    pool.nodeList.length > 0 && nodes,
    pool.events.length > 0 && events,
  ]
    .filter(Boolean)
    .join('\n')
}
