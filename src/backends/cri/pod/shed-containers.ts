import { removeVolumes } from '../volumes/volumes.ts'
import { isDiskFull } from '../whole-file.ts'
import type { PodHandle } from './pod-context.ts'
import { shedFile } from './pod-store.ts'

type Shedding = Pick<PodHandle, 'tools' | 'ref' | 'paths' | 'picture'>

/** Gives back disk of a Pod that is down or is being taken down: its volumes, then what its containers wrote. */
export async function shed(pod: Shedding, signal: AbortSignal): Promise<void> {
  // First what needs no room itself.
  await shedVolumes(pod, signal)
  // Also of one that is not down yet, as after a restart: an end that hangs on a full disk must not cost a neighbour.
  if (pod.picture.running.length === 0) await shedContainers(pod, signal)
}

/**
 * Makes room for the end of a Pod. On a full disk containerd cannot note that a container has ended: it goes on saying
 * that it runs, and who waits for its end waits for ever. When no process of the Pod's containers is left by the
 * kernel's word, its volumes are given back, and what is reserved for that: the one that filled the disk may have
 * filled its own layer, which only containerd can remove.
 */
async function shedVolumes({ tools, ref, paths, picture }: Shedding, signal: AbortSignal): Promise<void> {
  const { running } = picture
  for (const { status } of running) {
    if (!(await tools.cgroups.isEmpty(ref.uid, status.id))) return
  }
  if (running.length > 0) await tools.reserve.release()
  await removeVolumes({ podDir: paths.podDir, run: tools.shell.run }, signal)
}

/**
 * Gives back what the containers of a Pod wrote to their own layers, by removing them from the runtime. Their facts are
 * on disk before, so that exit codes and logs can be asked for as if they were there; kubelet, when the disk is short,
 * loses them. Once: it is asked for again and again for as long as the disk is short.
 */
async function shedContainers({ tools, paths, picture }: Shedding, signal: AbortSignal): Promise<void> {
  const { containers, kept } = picture
  // Those of an earlier try are noted, maybe by an earlier process: it needs no room again.
  if (!kept.every((seen) => picture.isRemembered(seen))) {
    const note = async (): Promise<void> => await tools.store.writeShed(paths.podDir, containers)
    await note().catch(async (error: unknown) => {
      if (!isDiskFull(error)) throw error
      await tools.reserve.lend(shedFile(paths.podDir))
      await note()
    })
    picture.remember(containers)
  }
  for (const { status } of kept) {
    await tools.client.removeContainer(status.id, signal)
    picture.drop(status.id)
  }
}
