import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface NodeMetricSources {
  readonly nodeName: string
  running(): { readonly pods: number; readonly containers: number }
}

export interface CountedRequest {
  readonly method: string
  /** The first part of the path. */
  readonly path: string
  readonly longRunning: boolean
}

const methods: ReadonlySet<string> = new Set([
  'OPTIONS',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'TRACE',
  'CONNECT',
])

const refusalReasons = [
  'handshake_timeout',
  'unknown_timeout',
  'crowded_out',
  'full',
  'pipelined',
  'reviews',
  'streams',
] as const

export type RefusalReason = (typeof refusalReasons)[number]

/**
 * What `/metrics` of a virtual node tells, under kubelet's names. The process serves many nodes: its own figures are
 * Spillway's (`metrics.ts`), and would be counted once for each node here.
 */
export class NodeMetrics {
  readonly #registry = new Registry()
  readonly #requests: Counter
  readonly #inFlight: Gauge
  readonly #durations: Histogram
  readonly #refused: Counter

  constructor({ nodeName, running }: NodeMetricSources) {
    const registers = [this.#registry]
    const labelNames = ['method', 'path', 'server_type', 'long_running']
    new Gauge({
      name: 'kubelet_node_name',
      help: "The node's name. The count is always 1.",
      labelNames: ['node'],
      registers,
    }).set({ node: nodeName }, 1)
    new Gauge({
      name: 'kubelet_running_pods',
      help: 'Number of pods that have a running container',
      registers,
      collect() {
        this.set(running().pods)
      },
    })
    new Gauge({
      name: 'kubelet_running_containers',
      help: 'Number of containers currently running',
      labelNames: ['container_state'],
      registers,
      collect() {
        this.set({ container_state: 'running' }, running().containers)
      },
    })
    this.#requests = new Counter({
      name: 'kubelet_http_requests_total',
      help: 'Number of the http requests received since the server started',
      labelNames,
      registers,
    })
    this.#inFlight = new Gauge({
      name: 'kubelet_http_inflight_requests',
      help: 'Number of the inflight http requests',
      labelNames,
      registers,
    })
    this.#refused = new Counter({
      name: 'spillway_node_api_refused_total',
      help: 'Number of connections closed and requests refused because there were too many or they took too long',
      labelNames: ['reason'],
      registers,
    })
    for (const reason of refusalReasons) this.#refused.inc({ reason }, 0)
    this.#durations = new Histogram({
      name: 'kubelet_http_requests_duration_seconds',
      help: 'Duration in seconds to serve http requests',
      labelNames,
      registers,
    })
  }

  /** Counts a request that has come; the answer is to be called when it has been served. */
  count({ method, path, longRunning }: CountedRequest): () => void {
    const labels = {
      method: methods.has(method) ? method : 'other',
      path,
      server_type: 'readwrite',
      long_running: String(longRunning),
    }
    this.#requests.inc(labels)
    this.#inFlight.inc(labels)
    const observe = this.#durations.startTimer(labels)
    return () => {
      this.#inFlight.dec(labels)
      observe()
    }
  }

  countRefusal(reason: RefusalReason): void {
    this.#refused.inc({ reason })
  }

  /** In Prometheus' text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics()
  }

  get contentType(): string {
    return this.#registry.contentType
  }
}
