import type { CommandShell } from '../command-shell.ts'
import type { InterfaceKind } from './sandbox-link.ts'

interface IpLink {
  readonly master?: string
  readonly linkinfo?: { readonly info_kind?: string; readonly info_slave_kind?: string }
}

/**
 * Asks the machine what its interfaces of these names are. By ip(8): what `/sys` shows belongs to the network namespace in
 * which that was mounted, and need not be ours.
 */
export async function interfaceKinds(
  names: readonly string[],
  shell: Pick<CommandShell, 'read'>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, InterfaceKind>> {
  const kinds = new Map<string, InterfaceKind>()
  for (const name of names) kinds.set(name, await kindOf(name, shell, signal))
  return kinds
}

async function kindOf(
  name: string,
  shell: Pick<CommandShell, 'read'>,
  signal: AbortSignal,
): Promise<InterfaceKind> {
  const said = await shell
    .read('ip', ['-json', '-details', 'link', 'show', 'dev', name], signal)
    .catch((error: unknown) => {
      signal.throwIfAborted()
      if (String(error).includes('does not exist')) return undefined
      throw error
    })
  return said === undefined ? 'none' : interfaceKind(said)
}

/** From the answer of `ip -json -details link show`. Pure. */
export function interfaceKind(said: string): InterfaceKind {
  const [link] = JSON.parse(said) as readonly IpLink[]
  if (link === undefined) return 'none'
  const made = link.linkinfo?.info_kind
  if (made === 'bridge' || made === 'ifb') return made
  if (made === undefined) return 'device'
  if (link.master === undefined) return 'free'
  return link.linkinfo?.info_slave_kind === 'bridge' ? 'port' : 'captive'
}
