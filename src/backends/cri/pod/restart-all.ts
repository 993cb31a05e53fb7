import type { PodHandle } from './pod-context.ts'

/**
 * Makes all init and main containers begin anew: those that run are ended, one after the other, without preStop hooks;
 * then everything so far is noted as outdated. Until that note the exit that asked for it stands in the runtime, so
 * that after a crash of ours the same question has the same answer (kubelet removes the containers, that one last).
 */
export async function restartAll(
  handle: PodHandle,
  { running, names }: { readonly running: readonly string[]; readonly names: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const { picture, stops, tools, notes } = handle
  for (const name of running) {
    const seen = picture.running.find(({ status }) => status.metadata.name === name)
    const wish = { deadlineMs: tools.clock.wallMs(), message: 'killing' }
    if (seen) await stops.stop(handle, { seen, ...wish }, signal)
  }
  const attempts: Record<string, number> = { ...notes.restartedAll }
  for (const { status } of picture.containers) {
    const { name, attempt } = status.metadata
    if (names.includes(name)) attempts[name] = Math.max(attempts[name] ?? 0, attempt)
  }
  await notes.noteRestartedAll(attempts)
}
