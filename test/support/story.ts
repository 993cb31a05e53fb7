import { afterAll, beforeAll, inject } from 'vitest'
import { askAdmin } from '../../src/cli/admin-client.ts'
import { kubectl, type KubectlResult } from '../../src/cli/demo/kubectl.ts'
import { defaultBackoff, jitteredBackoff } from '../../src/control/backoff.ts'
import type { EmbeddedCluster } from '../../src/dev-cluster/embedded-cluster.ts'
import { attachToCluster, findCluster } from '../../src/dev-cluster/find-cluster.ts'
import type { RunningCluster } from '../../src/dev-cluster/running-cluster.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts'
import { reflect } from '../../src/kube/reflector.ts'
import { namespaces, pods } from '../../src/kube/resources.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { systemClock } from '../../src/model/clock.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { createNamespace } from './furnished-namespace.ts'
import type { OwnCluster, SharedCluster } from './shared-cluster.ts'

/** One namespace of the shared cluster, for one test file. */
export interface Story {
  readonly namespace: string
  readonly api: KubeApi
  readonly signal: AbortSignal
  readonly cluster: EmbeddedCluster
  readonly running: RunningCluster
  /** The Pods of the namespace, live. */
  pods(): readonly Pod[]
  pod(name: string): Pod | undefined
  kubectl(...args: readonly string[]): Promise<KubectlResult>
  /** Paths, for a kubectl that is run in a way of the test's own. */
  readonly binaries: { readonly kubectl: string; readonly kubeconfig: string }
  admin(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>
  /** Resolves when it holds; rejects with what was waited for, the Pods as they were then, and Spillway's log. */
  until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs?: number): Promise<void>
}

/**
 * Sets up and tears down around the file's tests. The story may be read inside of tests and hooks only. A file that
 * cannot share the cluster of all others starts one of its `own`.
 */
export function story(namespace: string, own?: () => Promise<OwnCluster>): { readonly current: Story } {
  const holder: { current?: Story; close?: () => Promise<void> } = {}
  beforeAll(async () => {
    const opened = own
      ? await openOwn(namespace, await own())
      : await open(namespace, inject('sharedCluster'))
    Object.assign(holder, opened)
  })
  afterAll(async () => await holder.close?.())
  return {
    get current(): Story {
      if (!holder.current) throw new Error('the story is only there inside of tests and hooks')
      return holder.current
    },
  }
}

/** Closed by removing the cluster, whatever state the test has left it in. */
async function openOwn(
  namespace: string,
  { shared, remove }: OwnCluster,
): Promise<{ current: Story; close: () => Promise<void> }> {
  try {
    const { current, end } = await open(namespace, shared)
    return {
      current,
      close: async () => {
        await end()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

async function open(
  namespace: string,
  shared: SharedCluster,
): Promise<{ current: Story; close: () => Promise<void>; end: () => Promise<void> }> {
  const clock = systemClock
  const log = silentLog()
  const random = Math.random
  const end = new AbortController()
  const { signal } = end
  const found = await findCluster(shared.name)
  const running = await attachToCluster(shared.name, { environment: process.env, clock })
  if (!found || !running) throw new Error(`the shared cluster ${shared.name} is gone`)
  const credentials = await loadKubeconfig(
    { path: shared.kubeconfig, environment: process.env, clock },
    signal,
  )
  const api = createKubeClient({ credentials, userAgent: 'spillway-story', clock, log, random })
  const store = new ObjectStore<Pod>({ log })
  const backoff = jitteredBackoff(defaultBackoff, random)
  const watch = reflect<Pod>(
    { api, resource: pods, selection: { namespace }, store, clock, backoff, log },
    signal,
  )
  const until: Story['until'] = async (what, holds, timeoutMs = 60_000) => {
    const deadlineMs = clock.monotonicMs() + timeoutMs
    while (!(await holds())) {
      if (clock.monotonicMs() > deadlineMs) {
        // What cannot be seen from outside, and is gone with the cluster, belongs to the failure.
        const said = await running.logTail('spillway')
        throw new Error(`waited ${timeoutMs} ms for: ${what}\n${describePods(store.list())}\n${said}`)
      }
      await clock.sleep(50, signal)
    }
  }
  const current: Story = {
    namespace,
    api,
    signal,
    cluster: found.cluster,
    running,
    pods: () => store.list(),
    pod: (name) => store.get({ namespace, name }),
    binaries: { kubectl: shared.kubectl, kubeconfig: shared.kubeconfig },
    kubectl: (...args) =>
      kubectl({ binary: shared.kubectl, kubeconfig: shared.kubeconfig }, ['-n', namespace, ...args], signal),
    admin: (path, query = {}) => askAdmin({ target: shared.adminSocket }, path, query, signal),
    until,
  }
  await createNamespace(api, { name: namespace }, signal)
  const endAll = async (): Promise<void> => {
    end.abort()
    await watch
    await api.close()
  }
  return {
    current,
    end: endAll,
    close: async () => {
      await removeNamespace(current)
      await endAll()
    },
  }
}

async function removeNamespace({ api, namespace, signal, until }: Story): Promise<void> {
  await api.delete(namespaces, { name: namespace }, {}, signal)
  await until(
    `namespace ${namespace} is gone`,
    async () => {
      try {
        await api.get(namespaces, { name: namespace }, signal)
        return false
      } catch (error) {
        if (hasCode(error, 'NotFound')) return true
        throw error
      }
    },
    120_000,
  )
}

function describePods(list: readonly Pod[]): string {
  return list
    .map(({ metadata, spec, status }) => {
      const conditions = (status?.conditions ?? []).map(
        ({ type, status: value, reason }) => `${type}=${value}${reason ? `(${reason})` : ''}`,
      )
      return `  ${metadata?.name} on ${spec?.nodeName ?? '-'}: ${status?.phase} ${conditions.join(' ')} ${status?.message ?? ''} ${JSON.stringify(status?.containerStatuses?.map(({ name, state }) => ({ name, state })))}`
    })
    .join('\n')
}

export function isReady(pod: Pod | undefined): boolean {
  return pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

export function isVirtual({ spec }: Pod): boolean {
  return /^burst-\d+$/.test(spec?.nodeName ?? '')
}
