import { metricsText } from './metrics-text.ts'

/**
 * `/metrics/probes`: what kubelet's has before the first probe. Probes are not counted here, but whoever scrapes all of
 * kubelet's paths takes a node that does not answer one of them for down.
 */
export function probeMetrics(startedAtMs: number): string {
  const help = '[ALPHA] Start time of the process since unix epoch in seconds.'
  const samples = [{ value: String(startedAtMs / 1000) }]
  return metricsText([{ name: 'process_start_time_seconds', help, type: 'gauge', samples }])
}
