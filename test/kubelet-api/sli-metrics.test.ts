import { expect, it } from 'vitest'
import type { HealthCheck } from '../../src/kubelet-api/health.ts'
import { sliMetrics } from '../../src/kubelet-api/sli-metrics.ts'

it('The service level indicators of a node are what its health checks say', () => {
  const checks = new Map<string, HealthCheck>([
    ['ping', () => undefined],
    ['syncloop', () => 'sync loop has stopped'],
  ])
  expect(sliMetrics(checks)).toBe(
    [
      '# HELP kubernetes_healthcheck [STABLE] This metric records the result of a single healthcheck.',
      '# TYPE kubernetes_healthcheck gauge',
      'kubernetes_healthcheck{name="ping",type="healthz"} 1',
      'kubernetes_healthcheck{name="syncloop",type="healthz"} 0',
      '',
    ].join('\n'),
  )
})
