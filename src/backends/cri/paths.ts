import { join } from 'node:path'
import type { PodRef } from '../../model/pod-key.ts'

/** Where a Pod's things lie below the state folder. */
export interface PodPaths {
  readonly podDir: string
  /** As kubelet names it, because log shippers read the names: `<namespace>_<name>_<uid>`. */
  readonly logDir: string
}

export function podPaths(stateDir: string, { uid, namespace, name }: PodRef): PodPaths {
  return {
    podDir: join(podsDir(stateDir), uid),
    logDir: join(stateDir, 'logs', `${namespace}_${name}_${uid}`),
  }
}

export function podsDir(stateDir: string): string {
  return join(stateDir, 'pods')
}

/** What is remembered of images that were pulled. */
export function pullRecordsDir(stateDir: string): string {
  return join(stateDir, 'images')
}

/** Relative to the log directory. */
export function logPath(container: string, attempt: number): string {
  return `${container}/${attempt}.log`
}

/** The host's side of a container's termination message file; one for each attempt. */
export function terminationFile(podDir: string, container: string, attempt: number): string {
  return join(podDir, 'containers', container, `${attempt}.message`)
}
