import { podCgroupLimits } from './linux-resources.ts'
import { resourcesOf, sameResources } from '../../../model/pod-resources.ts'
import { runtimeSentence } from '../runtime/errors.ts'
import type { PodAllocation } from './pod-allocation.ts'
import { resizePod, type PodResize } from './resize-pod.ts'
import { owesRestart, resizesLeft } from './resizes-left.ts'

export interface ResizeUnderWay extends PodResize {
  readonly allocation: PodAllocation
}

/**
 * Gets on with a resize, if one is under way, and notes when all of it is in effect. What stops it stops nothing else
 * of the Pod. Answers in how many milliseconds it is to be tried again.
 */
export async function followResize(resize: ResizeUnderWay, signal: AbortSignal): Promise<number | undefined> {
  const { tools, ref, pod, picture, notes, allocation } = resize
  // Of a Pod that an earlier life of this process has made.
  if (!picture.podCgroup) picture.sawPodCgroup(await tools.cgroups.limits(ref.uid, podCgroupLimits(pod)))
  const { underWay } = allocation
  // The changed Pod is handed over right after the note that its size is set aside.
  if (!underWay || !sameResources(underWay.resources, resourcesOf(pod))) return undefined
  const leftMs = allocation.leftMs(tools.clock.wallMs())
  if (leftMs > 0) return leftMs
  try {
    await resizePod(resize, signal)
  } catch (error) {
    signal.throwIfAborted()
    const message = runtimeSentence(error)
    tools.log.warn({ pod: ref.uid, error: message }, 'the Pod cannot be resized yet')
    allocation.failed(message, tools.clock.wallMs())
    return allocation.leftMs(tools.clock.wallMs())
  }
  const left = resizesLeft(pod, picture, notes)
  const isDone = left.restart.length + left.memory.length + left.cpu.length === 0
  if (isDone && !owesRestart(picture, notes)) await allocation.inEffect(underWay, tools.clock.wallMs())
  return undefined
}
