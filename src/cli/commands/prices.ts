import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { compareBooks, usualSamples, type Sample } from '../../billing/compare-books.ts'
import { writePriceBook } from '../../config/price-book.ts'
import { errorMessage, SpillwayError } from '../../model/errors.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { globalOptions } from '../global-options.ts'
import { podsOfManifests } from '../manifest-pods.ts'
import { Output } from '../output.ts'
import { checkBookFiles } from '../price-book-check.ts'
import { bookNamed, booksKnownTo } from '../price-book-named.ts'
import { formatBook, formatBooks, formatChecks, formatComparison } from '../price-tables.ts'
import { parseTimeOption } from '../times.ts'

/** `spillway prices`: the price books that there are, what one of them says, whether a file is one, and what changes. */
export function pricesCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('prices')
    .description('price books: those that come with Spillway, those of --config, and files')
    .addCommand(listCommand(context))
    .addCommand(showCommand(context))
    .addCommand(checkCommand(context, exit))
    .addCommand(diffCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('the books that pools may name')
    .action((_flags, command: Command) => {
      const options = globalOptions(command)
      const books = [...booksKnownTo(options, context).values()]
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(books.map(writePriceBook))
      else output.write(formatBooks(books))
    })
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('its prices, its sizes with their prices, and its notes; with --json as a file of its own')
    .argument('<book>', 'id of a book, or a file')
    .option('--at <time>', 'RFC 3339, or back from now', 'now')
    .action((book: string, flags: { readonly at: string }, command: Command) => {
      const options = globalOptions(command)
      const found = bookNamed(book, booksKnownTo(options, context))
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(writePriceBook(found))
      else output.write(formatBook(found, parseTimeOption('--at', flags.at, context.clock.wallMs())))
    })
}

function checkCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('check')
    .description('whether files are price books, and every field of them that is wrong')
    .argument('<file...>')
    .option('--ledger <place>', 'also whether a ledger was billed by another book of that id')
    .action(async (files: string[], flags: { readonly ledger?: string }, command: Command) => {
      const checks = await checkBookFiles(files, flags, context)
      const output = new Output(context.stdout, context.environment)
      if (globalOptions(command).json) output.json(checks)
      else output.write(formatChecks(checks))
      if (checks.some(({ problems }) => problems.length > 0)) exit(exitCodes.claimFalse)
    })
}

interface DiffFlags {
  readonly at: string
  readonly filename?: string
  readonly namespace: string
}

function diffCommand(context: CliContext): Command {
  return new Command('diff')
    .description('what changes from one book to another: rules, prices, sizes, and what Pods would cost')
    .argument('<from>', 'id of a book, or a file')
    .argument('<to>', 'id of a book, or a file')
    .option('--at <time>', 'by the prices of that time: RFC 3339, or back from now', 'now')
    .option('-f, --filename <file>', 'Pods or workloads to compare, in place of the usual samples')
    .option('-n, --namespace <namespace>', 'of manifests that state none', 'default')
    .action(async (from: string, to: string, flags: DiffFlags, command: Command) => {
      const options = globalOptions(command)
      const known = booksKnownTo(options, context)
      const comparison = compareBooks(bookNamed(from, known), bookNamed(to, known), {
        atMs: parseTimeOption('--at', flags.at, context.clock.wallMs()),
        samples:
          flags.filename === undefined ? usualSamples : await samplesOf(flags.filename, flags.namespace),
      })
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(comparison)
      else output.write(formatComparison(comparison))
    })
}

async function samplesOf(file: string, namespace: string): Promise<readonly Sample[]> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new SpillwayError('Usage', `--filename: ${errorMessage(error)}`, { cause: error })
  }
  return podsOfManifests(text, { file, namespace }).map((pod) => ({
    name: `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''}`,
    pod,
  }))
}
