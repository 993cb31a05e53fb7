import { Command } from 'commander'
import { LedgerKeeper } from '../../billing/ledger-keeper.ts'
import type { Seal } from '../../billing/seal.ts'
import { SpillwayError } from '../../model/errors.ts'
import { formatNanos } from '../../model/money.ts'
import { askAdmin } from '../admin-client.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerToWrite } from '../ledger-file.ts'
import { Output } from '../output.ts'
import { parseTimeOption } from '../times.ts'

interface SealFlags {
  readonly month?: string
  readonly until?: string
  readonly acceptUncertain?: boolean
  readonly server?: string
  readonly ledger?: string
}

/** `spillway ledger seal`: closes a period for ever (docs/guides/audit.md). */
export function ledgerSealCommand(context: CliContext): Command {
  return new Command('seal')
    .description('close a period: its bill never changes again, what becomes known later is corrected')
    .option('--month <month>', 'a UTC month that is over: 2026-10')
    .option('--until <time>', 'everything that is not sealed yet up to then: RFC 3339, a whole UTC hour')
    .option('--accept-uncertain', 'although some ends are estimates, or some starts have no outcome')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .option('--ledger <place>', 'a ledger that nothing writes just now: a file, or a PostgreSQL URL')
    .action(async (flags: SealFlags, command: Command) => {
      const options = { ...globalOptions(command), ...flags }
      const request = {
        ...periodOf(flags, context.clock.wallMs()),
        ...(flags.acceptUncertain && { acceptUncertain: true }),
      }
      const seal = flags.ledger
        ? await sealFile(flags.ledger, request, context)
        : await askAdmin(
            { target: adminTarget(options, context) },
            '/v1/ledger/seal',
            { body: request },
            context.signal,
          )
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(seal)
      else output.write(formatSeal(seal as ToldSeal))
    })
}

interface Request {
  readonly fromMs?: number
  readonly toMs: number
  readonly acceptUncertain?: boolean
}

function periodOf({ month, until }: SealFlags, nowMs: number): Request {
  if ((month === undefined) === (until === undefined)) {
    throw new SpillwayError('Usage', '--month, --until: give one of the two')
  }
  if (until !== undefined) return { toMs: parseTimeOption('--until', until, nowMs) }
  const [, year, number] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(month ?? '') ?? []
  if (year === undefined || number === undefined) {
    throw new SpillwayError('Usage', `--month: found "${month}"; allowed: a year and a month, 2026-10`)
  }
  return {
    fromMs: Date.UTC(Number(year), Number(number) - 1),
    toMs: Date.UTC(Number(year), Number(number)),
  }
}

async function sealFile(place: string, request: Request, context: CliContext): Promise<Seal> {
  const ledger = await openLedgerToWrite(place, context)
  try {
    return await new LedgerKeeper(ledger, context.clock).seal(request, context.signal)
  } finally {
    await ledger.close()
  }
}

/** Over HTTP the sums, nano-units, are decimal strings. */
type ToldSeal = Omit<Seal, 'sums'> & {
  readonly sums: readonly { readonly currency: string; readonly total: bigint | string }[]
}

function formatSeal({ number, period, lines, adjustments, sums, head, accepted, hash }: ToldSeal): string {
  const [from, to] = [period.fromMs, period.toMs].map((ms) => new Date(ms).toISOString())
  const totals = sums.map(({ currency, total }) => `${formatNanos(BigInt(total))} ${currency}`)
  return [
    `Seal ${number}: ${from} to ${to}, ${totals.join(' + ') || 'nothing'}`,
    `  ${lines.count} lines, ${adjustments.count} adjustments; the log up to event ${head.seq}`,
    ...accepted.map((doubt) => `  accepted: ${doubt}`),
    `  hash ${hash}: note it where this ledger cannot reach`,
    '',
  ].join('\n')
}
