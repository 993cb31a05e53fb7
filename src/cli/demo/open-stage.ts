import { defaultBackoff, jitteredBackoff } from '../../control/backoff.ts'
import { createKubeClient } from '../../kube/client.ts'
import { loadKubeconfig } from '../../kube/kubeconfig.ts'
import { reflect } from '../../kube/reflector.ts'
import { namespaces, pods } from '../../kube/resources.ts'
import { ObjectStore } from '../../kube/store.ts'
import { hasCode } from '../../model/errors.ts'
import type { Pod } from '../../model/kubernetes.ts'
import { version } from '../../model/version.ts'
import { silentLog } from '../../telemetry/log.ts'
import { virtualPoolName } from '../../dev-cluster/embedded-cluster.ts'
import type { CliContext } from '../context.ts'
import type { Output } from '../output.ts'
import type { Claims } from './claims.ts'
import { kubectl } from './kubectl.ts'
import { Timelines } from './pod-timeline.ts'
import { until, type Stage } from './stage.ts'

export interface StageSite {
  readonly kubeconfig: string
  /** Path of the program. */
  readonly kubectl: string
  readonly serverNode: string
  readonly simulated: boolean
  readonly traces: (pod: Pod) => Promise<readonly string[]>
  readonly admin: Stage['admin']
  readonly output: Output
  readonly claims: Claims
}

export interface OpenedStage {
  readonly stage: Stage
  close(): Promise<void>
}

const namespace = 'demo'

/** Connects to the cluster and watches the demo's Pods. What an earlier demo left in the namespace is removed first. */
export async function openStage(
  site: StageSite,
  { clock, environment, random, signal }: CliContext,
): Promise<OpenedStage> {
  const credentials = await loadKubeconfig({ path: site.kubeconfig, environment, clock }, signal)
  const log = silentLog()
  const api = createKubeClient({ credentials, userAgent: `spillway/${version} (demo)`, clock, log, random })
  const store = new ObjectStore<Pod>({ log })
  const timelines = new Timelines()
  store.subscribe(({ before, after }) => timelines.observe(before, after, clock.wallMs()))
  const watching = new AbortController()
  const backoff = jitteredBackoff(defaultBackoff, random)
  const watch = reflect<Pod>(
    { api, resource: pods, selection: { namespace }, store, clock, backoff, log },
    watching.signal,
  )
  const stage: Stage = {
    api,
    namespace,
    pool: virtualPoolName,
    serverNode: site.serverNode,
    simulated: site.simulated,
    clock,
    output: site.output,
    claims: site.claims,
    signal,
    kubectl: (args) => kubectl({ binary: site.kubectl, kubeconfig: site.kubeconfig }, args, signal),
    pods: () => store.list(),
    timelines: () => timelines.all(),
    traces: site.traces,
    admin: site.admin,
  }
  const close = async (): Promise<void> => {
    watching.abort()
    await watch
    await api.close()
  }
  try {
    await store.whenSynced(signal)
    await removeEarlier(stage)
    return { stage, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function removeEarlier(stage: Stage): Promise<void> {
  const { api, signal } = stage
  try {
    await api.delete(namespaces, { name: namespace }, {}, signal)
  } catch (error) {
    if (hasCode(error, 'NotFound')) return
    throw error
  }
  stage.output.line('Removing what an earlier demo left.')
  await until(stage, { timeoutMs: 120_000, pollMs: 500 }, async () => {
    try {
      await api.get(namespaces, { name: namespace }, signal)
      return false
    } catch (error) {
      if (hasCode(error, 'NotFound')) return true
      throw error
    }
  })
}
