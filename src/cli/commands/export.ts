import { createWriteStream, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, Option } from 'commander'
import { BillingReader, type FocusExport } from '../../billing/billing-reader.ts'
import { focusVersions, type FocusVersion } from '../../billing/focus/focus-columns.ts'
import { focusMetadata } from '../../billing/focus/focus-metadata.ts'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import { readAdmin } from '../admin-client.ts'
import { addSelectionOptions, billFilter, type BillSelectionFlags } from '../bill-options.ts'
import { billPeriod } from '../bill-period.ts'
import type { CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { openLedgerFile } from '../ledger-file.ts'
import { Output } from '../output.ts'

interface FocusFlags extends BillSelectionFlags {
  readonly focusVersion: FocusVersion
  readonly operator: string
  readonly host?: string
  readonly accountName?: string
  readonly output?: string
}

/** `spillway export focus`: charges for other tools, unrounded. */
export function exportCommand(context: CliContext): Command {
  const focus = new Command('focus')
    .description('charges in the FinOps Open Cost and Usage Specification, as CSV')
    .addOption(
      new Option('--focus-version <version>', 'of the specification').choices(focusVersions).default('1.2'),
    )
    .option('--output <file>', 'write the CSV there, and its metadata beside it; default standard output')
    .option('--operator <name>', 'who runs this and bills for it', 'Spillway')
    .option('--host <name>', 'on whose machines Pods run; default the operator')
    .option('--account-name <name>', 'what the billing account is called')
  addSelectionOptions(focus).action(async (flags: FocusFlags, command: Command) => {
    const nowMs = context.clock.wallMs()
    const query = focusExport(flags, nowMs)
    const pieces =
      flags.ledger === undefined
        ? exportServer(adminTarget({ ...globalOptions(command), ...flags }, context), query, context)
        : exportFile(flags.ledger, query, context)
    const output = new Output(context.stdout, context.environment)
    if (flags.output === undefined) {
      for await (const piece of pieces) output.write(piece)
      return
    }
    const metadata = focusMetadata({ ...query, createdMs: nowMs })
    const beside = await writeFiles(flags.output, { pieces, metadata })
    output.line(`Wrote ${flags.output} and ${beside}.`)
  })
  return new Command('export').description('what was spent, for other tools').addCommand(focus)
}

interface FocusFiles {
  readonly pieces: AsyncIterable<string>
  readonly metadata: object
}

/** The CSV is there whole or not at all; `spend.csv` has `spend.metadata.json` beside it, whose name is answered. */
async function writeFiles(file: string, { pieces, metadata }: FocusFiles): Promise<string> {
  const part = `${file}.part`
  const beside = `${file.replace(/\.csv$/, '')}.metadata.json`
  try {
    await pipeline(Readable.from(pieces), createWriteStream(part))
    writeFileSync(beside, `${JSON.stringify(metadata, undefined, 2)}\n`)
    renameSync(part, file)
  } catch (error) {
    rmSync(part, { force: true })
    if (error instanceof SpillwayError || !(error instanceof Error && 'code' in error)) throw error
    throw new SpillwayError('Environment', `--output: ${file} cannot be written: ${errorMessage(error)}`, {
      cause: error,
    })
  }
  return beside
}

function focusExport(flags: FocusFlags, nowMs: number): FocusExport {
  const { focusVersion, operator, host = operator, accountName } = flags
  for (const [flag, value] of Object.entries({ operator, host, 'account-name': accountName })) {
    if (value === '') throw new SpillwayError('Usage', `--${flag}: found ""; allowed: a name`)
  }
  return {
    ...billPeriod(flags, nowMs),
    filter: billFilter(flags),
    version: focusVersion,
    parties: { operator, host, accountName },
  }
}

function exportServer(
  target: string,
  { fromMs, toMs, filter, version, parties }: FocusExport,
  { signal }: CliContext,
): AsyncIterable<string> {
  const { operator, host, accountName } = parties
  const question = {
    fromMs: String(fromMs),
    toMs: String(toMs),
    version,
    operator,
    host,
    ...(accountName !== undefined && { accountName }),
    namespace: filter?.namespaces ?? [],
    pool: filter?.pools ?? [],
    workload: filter?.workloads ?? [],
    label: filter?.labels ?? [],
  }
  return readAdmin({ target }, '/v1/export/focus', question, signal)
}

async function* exportFile(file: string, query: FocusExport, context: CliContext): AsyncGenerator<string> {
  const ledger = await openLedgerFile(file, context)
  try {
    yield* new BillingReader(ledger, context.clock).focus(query, context.signal)
  } finally {
    await ledger.close()
  }
}
