import { SpillwayError } from '../../model/errors.ts'
import { outputTail, runCommand, type CommandOptions } from '../command.ts'

/** Removes namespaces that interrupted tests have left in a cluster, with all that is in them. */
export async function sweepNamespaces(
  kubectl: string,
  kubeconfig: string,
  command: CommandOptions,
  signal: AbortSignal,
): Promise<void> {
  // The label is the one that e2e.test puts on each namespace that it makes (test/e2e/framework/util.go).
  const args = ['delete', 'namespaces', '--selector=e2e-framework', '--timeout=3m', '--ignore-not-found']
  const { exitCode, stderr } = await runCommand(
    kubectl,
    [`--kubeconfig=${kubeconfig}`, ...args],
    command,
    signal,
  )
  if (exitCode === 0) return
  throw new SpillwayError(
    'Environment',
    `what earlier tests left in the cluster cannot be removed (start from a new one: npm run down): ${outputTail(stderr)}`,
  )
}
