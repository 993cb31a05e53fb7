import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PodRef } from '../../../model/pod-key.ts'
import type { AllocationObservation } from '../../../model/pod-observation.ts'
import { asPodUid } from '../../../model/pod-key.ts'
import type { ContainerPlan } from '../marks.ts'
import type { IdRange } from '../translate/namespaces.ts'
import { podsDir } from '../paths.ts'
import type { SeenContainer } from './observe.ts'
import { readWhole, writeWhole } from '../whole-file.ts'

/** What has to be known of a Pod when the process that started it is gone. Holds no secrets. */
export interface PodRecord extends PodRef {
  readonly nodeName: string
  readonly containers: readonly ContainerPlan[]
  /** The size that is set aside for it. Absent in what an earlier version of this program wrote. */
  readonly allocation?: AllocationObservation
}

/** The Pod is being ended, for good; until when its containers may take. */
export interface Ending {
  readonly deadlineMs: number
}

const userNamespaceFile = 'user-namespace.json'

/** The files `pod.json`, `ending.json`, `shed.json` and `user-namespace.json` in each Pod's directory: written whole, by renaming. */
export class PodStore {
  readonly #stateDir: string

  constructor(stateDir: string) {
    this.#stateDir = stateDir
  }

  async writeRecord(podDir: string, record: PodRecord): Promise<void> {
    await mkdir(podDir, { recursive: true, mode: 0o750 })
    await writeWhole(join(podDir, 'pod.json'), record)
  }

  async writeEnding(podDir: string, ending: Ending): Promise<void> {
    await mkdir(podDir, { recursive: true, mode: 0o750 })
    await writeWhole(join(podDir, 'ending.json'), ending)
  }

  async readEnding(podDir: string): Promise<Ending | undefined> {
    return (await readWhole(join(podDir, 'ending.json'))) as Ending | undefined
  }

  /** Containers of a stopped Pod that are about to be removed from the runtime. */
  async writeShed(podDir: string, containers: readonly SeenContainer[]): Promise<void> {
    await writeWhole(shedFile(podDir), { containers })
  }

  async readShed(podDir: string): Promise<readonly SeenContainer[]> {
    const shed = (await readWhole(shedFile(podDir))) as { containers: SeenContainer[] } | undefined
    return shed?.containers ?? []
  }

  /** Every Pod that has a directory here. */
  async records(): Promise<PodRecord[]> {
    const records: PodRecord[] = []
    for (const uid of await uidsIn(podsDir(this.#stateDir))) {
      const record = (await readWhole(join(podsDir(this.#stateDir), uid, 'pod.json'))) as
        PodRecord | undefined
      // Nothing was made yet when even the record is missing.
      if (record) records.push({ ...record, uid: asPodUid(record.uid) })
    }
    return records
  }

  async writeUserNamespace(podDir: string, range: IdRange): Promise<void> {
    await mkdir(podDir, { recursive: true, mode: 0o750 })
    await writeWhole(join(podDir, userNamespaceFile), range)
  }

  /** By UID, those of every Pod that has one. */
  async userNamespaces(): Promise<ReadonlyMap<string, IdRange>> {
    const ranges = new Map<string, IdRange>()
    for (const uid of await uidsIn(podsDir(this.#stateDir))) {
      const path = join(podsDir(this.#stateDir), uid, userNamespaceFile)
      const range = (await readWhole(path)) as IdRange | undefined
      if (range) ranges.set(uid, range)
    }
    return ranges
  }

  async remove(podDir: string): Promise<void> {
    await rm(podDir, { recursive: true, force: true })
  }
}

/** The file of the containers that are about to be removed from the runtime. */
export function shedFile(podDir: string): string {
  return join(podDir, 'shed.json')
}

async function uidsIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
