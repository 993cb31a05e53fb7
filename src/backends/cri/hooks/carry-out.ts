import type { PodHandle } from '../pod/pod-context.ts'
import type { PodSupport } from '../pod/pod-support.ts'
import { plannedContainers } from '../translate/translate.ts'
import { postStart } from './post-start.ts'

/** Carries out the postStart hooks of these running containers, one after the other. */
export async function carryOutHooks(
  handle: PodHandle & { readonly support: PodSupport; readonly hooks: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const { picture, support, hooks } = handle
  for (const planned of plannedContainers(support.pod).filter(({ plan }) => hooks.includes(plan.name))) {
    const seen = picture.running.find(({ status }) => status.metadata.name === planned.plan.name)
    if (seen) await postStart({ ...handle, planned, seen, podIp: support.podIp }, signal)
  }
}
