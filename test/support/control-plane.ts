import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getBinaries } from '../../src/dev-cluster/binaries.ts'
import { findInvoker, userCacheDir } from '../../src/dev-cluster/cache-dir.ts'
import { componentsWith, kubernetesVersion } from '../../src/dev-cluster/components.ts'
import {
  startControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
} from '../../src/dev-cluster/control-plane.ts'
import { silentProgress } from '../../src/dev-cluster/progress.ts'
import { systemClock } from '../../src/model/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'

/** Of the control planes under test, as in `v1.30.14`: `npm run versions` runs the journeys on older ones. */
export const planeVersion = process.env['SPILLWAY_KUBERNETES_VERSION'] ?? kubernetesVersion

export const controlPlanePrograms = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
] as const

export interface TestControlPlane extends AsyncDisposable {
  readonly controlPlane: ControlPlane
}

/** A real control plane of its own in a temporary folder, without root; gone again when disposed of. */
export async function startTestControlPlane(
  more: Partial<Pick<ControlPlaneOptions, 'virtualNodes' | 'extraArguments'>> = {},
): Promise<TestControlPlane> {
  const never = new AbortController().signal
  const environment = process.env
  const invoker = await findInvoker(environment, process.getuid?.() ?? 0, never)
  const cacheDir = userCacheDir(environment, invoker)
  const binaries = await getBinaries(
    controlPlanePrograms,
    { cacheDir, environment, invoker, progress: silentProgress, table: componentsWith(planeVersion) },
    never,
  )
  const stateDir = await mkdtemp(join(tmpdir(), 'spillway-cp-'))
  const options = {
    binaries,
    stateDir,
    environment,
    clock: systemClock,
    log: silentLog(),
    random: Math.random,
  }
  try {
    const controlPlane = await startControlPlane({ ...options, ...more }, never)
    return {
      controlPlane,
      [Symbol.asyncDispose]: async () => {
        await controlPlane.stop(never)
        await rm(stateDir, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(stateDir, { recursive: true, force: true })
    throw error
  }
}
