import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import type { ExplainQuery, ExplainView, PriceView } from '../../console/api/contract.ts'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { podsOfManifests } from '../manifest-pods.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'

interface ExplainFlags {
  readonly filename?: string
  readonly namespace: string
  readonly pool?: string
  readonly server?: string
}

/** `spillway explain`: where a Pod goes, by which rules, and what it would cost. Also as `kubectl spillway explain`. */
export function explainCommand(context: CliContext): Command {
  return new Command('explain')
    .description('where a Pod goes and why, rule by rule, its size, and its price in each pool')
    .argument('[pod]', 'a Pod of the cluster: NAME or NAMESPACE/NAME')
    .option(
      '-f, --filename <file>',
      'manifests of Pods or workloads that are not there yet; - for standard input',
    )
    .option('-n, --namespace <namespace>', 'where the Pod is, or would be', 'default')
    .option('--pool <name>', 'this pool only')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .action(async (pod: string | undefined, flags: ExplainFlags, command: Command) => {
      const options = { ...globalOptions(command), ...flags }
      const target = adminTarget(options, context)
      const views: ExplainView[] = []
      for (const query of await queriesOf(pod, flags)) {
        const only = flags.pool === undefined ? {} : { pool: flags.pool }
        const body = { ...query, ...only }
        views.push((await askAdmin({ target }, '/v1/explain', { body }, context.signal)) as ExplainView)
      }
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(views.length === 1 ? views[0] : views)
      else output.write(views.map(formatExplanation).join('\n'))
    })
}

async function queriesOf(pod: string | undefined, flags: ExplainFlags): Promise<readonly ExplainQuery[]> {
  const { filename, namespace } = flags
  if ((pod === undefined) === (filename === undefined)) {
    throw new SpillwayError('Usage', 'explain: give a Pod of the cluster, or -f FILE, and not both')
  }
  if (filename !== undefined) {
    const file = filename === '-' ? 'standard input' : filename
    return podsOfManifests(await textOf(filename), { file, namespace }).map((one) => ({ pod: one }))
  }
  const [first = '', second, ...rest] = (pod ?? '').replace(/^pods?\//, '').split('/')
  if (rest.length > 0)
    throw new SpillwayError('Usage', `explain: found "${pod}"; allowed: NAME or NAMESPACE/NAME`)
  return [second === undefined ? { namespace, name: first } : { namespace: first, name: second }]
}

async function textOf(filename: string): Promise<string> {
  try {
    return await readFile(filename === '-' ? '/dev/stdin' : filename, 'utf8')
  } catch (error) {
    throw new SpillwayError('Usage', `--filename: ${errorMessage(error)}`, { cause: error })
  }
}

const verdicts: Readonly<Record<ExplainView['outcome'], string>> = {
  server: 'goes to a server',
  virtual: 'goes to a virtual node',
  waits: 'waits',
  stays: 'stays Pending',
  bound: 'is there',
  over: 'is over',
}

/** The answer in a sentence, then the rules, the nodes and the prices. */
export function formatExplanation(view: ExplainView): string {
  const { namespace, name, outcome, because, pool, nodes, overflow, leaves, movesBack } = view
  const { dropped = [], sandboxes = [] } = view
  const where = [
    pool !== undefined && `pool ${pool}`,
    nodes.length > 0 && outcome !== 'bound' && `likely ${nodes.join(' or ')}`,
  ]
  const place = where.filter(Boolean).join(', ')
  const head = [
    `Pod ${namespace}/${name}: ${verdicts[outcome]}${place && ` (${place})`}`,
    `  ${because}`,
    ...(dropped.length > 0
      ? [`  without ${dropped.join(', ')}, which this API server is too old to keep`]
      : []),
    ...(overflow || outcome !== 'virtual' ? [] : ['  but overflow is turned off: nobody lets it out']),
  ]
  const rules = formatTable(
    [{ title: 'rule' }, { title: 'passes' }, { title: 'evidence' }],
    view.rules.map(({ rule, passes, evidence }) => [rule, passes ? 'yes' : 'no', evidence]),
  )
  const says = formatTable(
    [{ title: 'node' }, { title: 'pool' }, { title: 'says' }],
    view.says.map((one) => [one.node, one.pool ?? '(server)', one.answer]),
  )
  const foreign = formatTable(
    [{ title: 'written for' }, { title: 'word' }, { title: 'becomes' }, { title: 'says' }],
    view.foreign.map(({ product, word, becomes, says: what }) => [product, word, becomes, what]),
  )
  const parts = [
    `${head.join('\n')}\n`,
    view.rules.length > 0 && rules,
    view.says.length > 0 && says,
    sandboxes.length > 0 &&
      formatTable(
        [{ title: 'pool' }, { title: 'sandbox' }],
        sandboxes.map((one) => [one.pool, one.says]),
      ),
    view.foreign.length > 0 && foreign,
    view.prices.length > 0 && priceTable(view.prices),
    view.prices.length > 0 && priceDetails(view.prices),
    `When scaled in: ${leaves}\n`,
    movesBack !== undefined && `Moved back: ${movesBack}\n`,
  ]
  return parts.filter(Boolean).join('\n')
}

function priceTable(prices: readonly PriceView[]): string {
  const columns = [
    { title: 'pool' },
    { title: 'price book' },
    { title: 'size' },
    { title: 'unused' },
    { title: 'per second', right: true },
    { title: 'per hour', right: true },
  ]
  const rows = prices.map(({ pool, priceBook, currency, size, error }) =>
    size
      ? [
          pool,
          priceBook,
          size.spec,
          unusedOf(size),
          `${size.perSecond} ${currency}`,
          `${size.perHour} ${currency}`,
        ]
      : [pool, priceBook, `none: ${error}`],
  )
  return formatTable(columns, rows)
}

function unusedOf({
  unusedPercent: { cpu, memory },
}: {
  readonly unusedPercent: { cpu: number; memory: number }
}): string {
  const parts = [cpu > 0 && `cpu ${cpu} %`, memory > 0 && `memory ${memory} %`].filter(Boolean)
  return parts.length > 0 ? parts.join(', ') : 'nothing'
}

function priceDetails(prices: readonly PriceView[]): string {
  return prices
    .map(({ pool, currency, steps, cheaper }) => {
      const hint =
        cheaper &&
        `cheaper: ${cheaper.change}: ${cheaper.size.spec} for ${cheaper.size.perHour} ${currency} an hour, ${cheaper.savedPercent} % less`
      return [`pool ${pool}:`, ...steps, ...(hint ? [hint] : [])].join('\n  ')
    })
    .map((text) => `${text}\n`)
    .join('')
}
