import { removeVolumes } from '../volumes/volumes.ts'
import type { PodHandle } from './pod-context.ts'

/**
 * Gives back what the containers of a Pod that has stopped wrote to their own layers, by removing them from the runtime.
 * Their facts are on disk before, so that exit codes and logs can be asked for as if they were there; kubelet, when the
 * disk is short, loses them.
 */
export async function shedContainers(
  { tools, paths, picture }: Pick<PodHandle, 'tools' | 'paths' | 'picture'>,
  signal: AbortSignal,
): Promise<void> {
  const { containers } = picture
  if (containers.length === 0) return
  await tools.store.writeShed(paths.podDir, containers)
  picture.remember(containers)
  for (const { status } of containers) await tools.client.removeContainer(status.id, signal)
}

/**
 * Makes room for the end of a Pod. On a full disk containerd cannot note that a container has ended: it goes on saying
 * that it runs, and who waits for its end waits for ever. When no process of the Pod's containers is left by the
 * kernel's word, its volumes are given back, and what is reserved for that: the one that filled the disk may have
 * filled its own layer, which only containerd can remove.
 */
export async function shedVolumes(
  { tools, ref, paths, picture }: Pick<PodHandle, 'tools' | 'ref' | 'paths' | 'picture'>,
  signal: AbortSignal,
): Promise<void> {
  for (const { status } of picture.running) {
    if (!(await tools.cgroups.isEmpty(ref.uid, status.id))) return
  }
  await tools.reserve.release()
  await removeVolumes({ podDir: paths.podDir, run: tools.shell.run }, signal)
}
