import { Command } from 'commander'
import { exitCodes, type CliContext } from '../context.ts'
import { Claims } from '../demo/claims.ts'
import { openEmbeddedStage } from '../demo/embedded-stage.ts'
import { openSimulatedStage } from '../demo/simulated-stage.ts'
import { playStory } from '../demo/story.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'

interface DemoFlags {
  readonly simulated?: boolean
  readonly keep?: boolean
}

/** `spillway demo`: the whole story, each claim checked where it is made; exit code 3 when one is false. */
export function demoCommand(context: CliContext, exit: (code: number) => void): Command {
  return new Command('demo')
    .description('tell the whole story on the embedded cluster, and check every claim')
    .option('--simulated', 'without root: a real control plane, simulated containers')
    .option('--keep', 'leave the cluster running for a look around')
    .action(async (flags: DemoFlags, command: Command) => {
      const { json, name } = globalOptions(command)
      const output = new Output(json ? context.stderr : context.stdout, context.environment)
      const claims = new Claims(output)
      const named = command.parent?.getOptionValueSource('name') === 'cli'
      const options = { name: named ? name : 'demo', keep: flags.keep ?? false, output, claims }
      const opened = flags.simulated
        ? await openSimulatedStage(options, context)
        : await openEmbeddedStage(options, context)
      try {
        await playStory(opened.stage)
      } finally {
        await opened.close()
      }
      if (json) new Output(context.stdout, context.environment).json({ claims: claims.all })
      if (claims.false.length > 0) exit(exitCodes.claimFalse)
    })
}
