import type { Command } from 'commander'
import { loadConfig, type Config } from '../config/load.ts'
import { SpillwayError } from '../model/errors.ts'
import type { CliContext } from './context.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly name: string
  readonly config?: string
  readonly kubeconfig?: string
  readonly json: boolean
}

export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>()
}

/** The configuration that `--config` names. Rejects with Usage when it is not given. */
export function configOf({ config, kubeconfig }: GlobalOptions, { environment }: CliContext): Config {
  const file = config ?? environment['SPILLWAY_CONFIG']
  if (!file)
    throw new SpillwayError(
      'Usage',
      '--config: missing; give the configuration file (docs/reference/config.md)',
    )
  return loadConfig({ file, flags: { kubeconfig }, environment })
}

/** Where a running Spillway answers: `--server`, or the socket of `--config`, or that of `--name`. */
export function adminTarget(options: GlobalOptions & { server?: string }, context: CliContext): string {
  if (options.server) return options.server
  const runDir = options.config ? configOf(options, context).runDir : `/run/spillway/${options.name}`
  return `${runDir}/admin.sock`
}
