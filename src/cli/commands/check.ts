import { Command } from 'commander'
import type { CheckView } from '../../console/api/contract.ts'
import { askAdmin } from '../admin-client.ts'
import { exitCodes, type CliContext } from '../context.ts'
import { adminTarget, globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

/** `spillway check`: what on this cluster will not work with virtual nodes, and what to do about it. Changes nothing. */
export function checkCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('check')
    .description('what on this cluster will not work with virtual nodes, and the remedy')
    .option('--server <url>', 'admin API of a Spillway elsewhere')
    .action(async (_options: unknown, command: Command) => {
      const options = { ...globalOptions(command), ...command.opts<{ server?: string }>() }
      const target = adminTarget(options, context)
      const view = (await askAdmin({ target }, '/v1/check', {}, context.signal)) as CheckView
      const output = new Output(context.stdout, context.environment)
      if (options.json) output.json(view)
      else output.write(formatCheck(view, output))
      if (view.findings.some(({ level }) => level === 'problem')) exit(exitCodes.claimFalse)
    })
}

/** One paragraph a finding, problems first; what admission does and by what; how many findings there are. */
export function formatCheck({ admission, findings }: CheckView, output: Pick<Output, 'style'>): string {
  const paragraphs = findings.map(({ level, finding, remedy }) => {
    const word = output.style(level === 'problem' ? 'red' : 'yellow', level.padEnd('problem'.length))
    return `${word}  ${finding}\n         → ${remedy}\n`
  })
  const problems = findings.filter(({ level }) => level === 'problem').length
  const notes = findings.length - problems
  const sum = `${counted(problems, 'problem')}, ${counted(notes, 'note')}.\n`
  return [...paragraphs, `${admissionLine(admission)}\n${sum}`].join('\n')
}

function admissionLine({ placement, daemonSets }: CheckView['admission']): string {
  return `Admission: placement virtual by ${means[placement]}, DaemonSets kept off by ${means[daemonSets]}.`
}

const means = {
  policy: 'a policy of the API server',
  webhook: 'a webhook of Spillway',
  nothing: 'nothing',
} as const

function counted(number: number, word: string): string {
  return `${number === 0 ? 'no' : number} ${word}${number === 1 ? '' : 's'}`
}
