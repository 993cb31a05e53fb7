import { Command } from 'commander'
import type { AdjustOutcome } from '../../billing/adjust.ts'
import { LedgerKeeper } from '../../billing/ledger-keeper.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerToWrite } from '../ledger-file.ts'
import { Output } from '../output.ts'
import { parseTimeOption } from '../times.ts'

interface AdjustFlags {
  readonly pod?: string
  readonly namespace?: string
  readonly amount: string
  readonly currency?: string
  readonly reason: string
  readonly author: string
  readonly id?: string
  readonly at?: string
  readonly server?: string
  readonly ledger?: string
}

/** `spillway ledger adjust`: a correction in money, by someone who answers for it. */
export function ledgerAdjustCommand(context: CliContext): Command {
  return new Command('adjust')
    .description('credit or charge a Pod or a namespace, as a row of its own in bills')
    .option('--pod <uid>', 'UID of a Pod that was billed')
    .option('--namespace <name>', 'or a namespace as a whole')
    .requiredOption('--amount <decimal>', 'negative for a credit: -12.50')
    .option('--currency <code>', "ISO 4217; default that of the Pod's price book")
    .requiredOption('--reason <text>', 'why; bills show it')
    .requiredOption('--author <name>', 'who answers for it')
    .option('--id <text>', 'what keeps a repeated one from counting twice; default made from the above')
    .option('--at <time>', 'when it counts; default now, never in a sealed period')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'a ledger that nothing writes just now: a file, or a PostgreSQL URL')
    .action(async (flags: AdjustFlags, command: Command) => {
      const options = { ...globalOptions(command), ...flags }
      const request = requestOf(flags, context.clock.wallMs())
      const outcome = flags.ledger
        ? await adjustFile(flags.ledger, request, context)
        : await askAdmin(
            { target: adminTarget(options, context) },
            '/v1/ledger/adjust',
            { body: request },
            context.signal,
          )
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(outcome)
      else output.write(formatOutcome(outcome as AdjustOutcome))
    })
}

type Request = Parameters<LedgerKeeper['adjust']>[0]

function requestOf(flags: AdjustFlags, nowMs: number): Request {
  const { pod, namespace, amount, currency, reason, author, id, at } = flags
  return {
    amount,
    reason,
    author,
    ...(pod !== undefined && { pod }),
    ...(namespace !== undefined && { namespace }),
    ...(currency !== undefined && { currency }),
    ...(id !== undefined && { id }),
    ...(at !== undefined && { atMs: parseTimeOption('--at', at, nowMs) }),
  }
}

async function adjustFile(place: string, request: Request, context: CliContext): Promise<AdjustOutcome> {
  const ledger = await openLedgerToWrite(place, context)
  try {
    return await new LedgerKeeper(ledger, context.clock).adjust(request, context.signal)
  } finally {
    await ledger.close()
  }
}

function formatOutcome({ outcome, adjustment }: AdjustOutcome): string {
  const { amount, currency, atMs, reference, about } = adjustment
  const what = `${amount} ${currency} for ${[about?.namespace, about?.pod].filter(Boolean).join('/')}`
  const when = `from ${new Date(atMs).toISOString()} on, id ${reference}`
  return outcome === 'appended' ? `Adjusted: ${what}, ${when}\n` : `Adjusted before: ${what}, ${when}\n`
}
