import { Command } from 'commander'
import { allBinaries, clusterBinaries, getBinaries } from '../../dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../../dev-cluster/cache-dir.ts'
import { getSystemTools, type SystemTool } from '../../dev-cluster/system-packages.ts'
import type { CliContext } from '../context.ts'
import { devContext } from '../dev-context.ts'
import { globalOptions } from '../global-options.ts'
import { Output } from '../output.ts'
import { formatTable } from '../table.ts'

const systemTools: readonly SystemTool[] = ['runc', 'nft', 'ip', 'busybox', 'conntrack']

/** `spillway prepare`: finds or builds everything that a cluster needs, and stops there. */
export function prepareCommand(context: CliContext): Command {
  return new Command('prepare')
    .description('find or build the binaries of the embedded cluster, once per machine')
    .option('--all', 'upstream’s tests and metrics-server, too')
    .action(async (flags: { readonly all?: boolean }, command: Command) => {
      const { signal } = context
      const { environment, processUid, progress } = devContext(context)
      // Only root may install packages; without root the control plane alone still works.
      if (processUid === 0) await getSystemTools(systemTools, { environment, processUid, progress }, signal)
      const invoker = await findInvoker(environment, processUid, signal)
      const cacheDir = userCacheDir(environment, invoker)
      const wanted = flags.all ? allBinaries : clusterBinaries
      const binaries = await getBinaries(wanted, { cacheDir, environment, invoker, progress }, signal)
      const output = new Output(context.stdout, context.environment)
      if (globalOptions(command).json) output.json(Object.fromEntries(binaries))
      else output.write(formatTable([{ title: 'binary' }, { title: 'path' }], [...binaries]))
    })
}
