import type { CommandShell } from '../command-shell.ts'

/** Has nft carry out a script: all of it, or nothing. Rejects with Unavailable and what nft says. */
export async function setRules(
  shell: Pick<CommandShell, 'feed'>,
  script: string,
  signal: AbortSignal,
): Promise<void> {
  await shell.feed({ command: 'nft', args: ['-f', '-'], input: script }, signal)
}
