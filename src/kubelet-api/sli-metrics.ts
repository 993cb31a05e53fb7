import type { HealthChecks } from './health.ts'
import { metricsText } from './metrics-text.ts'

/** `/metrics/slis`: what each health check says now, under Kubernetes' name (component-base metrics/prometheus/slis). */
export function sliMetrics(checks: HealthChecks): string {
  const samples = [...checks].map(([name, check]) => {
    return { labels: { name, type: 'healthz' }, value: check() === undefined ? '1' : '0' }
  })
  const help = '[STABLE] This metric records the result of a single healthcheck.'
  return metricsText([{ name: 'kubernetes_healthcheck', help, type: 'gauge', samples }])
}
