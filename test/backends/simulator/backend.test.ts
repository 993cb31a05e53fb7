import { SimulatorBackend } from '../../../src/backends/simulator/backend.ts'
import { SimulatedWorld } from '../../../src/backends/simulator/world.ts'
import { annotationPrefix } from '../../../src/backends/simulator/script.ts'
import { backendContract } from '../../conformance/backend.ts'
import type { BackendHarness, Workload, WorkloadParts } from '../../conformance/harness.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function parts(container: string, script: Readonly<Record<string, string>>): WorkloadParts {
  const entries = Object.entries(script).map(([key, value]) => [
    `${annotationPrefix}${key}.${container}`,
    value,
  ])
  return { container: {}, annotations: Object.fromEntries(entries) as Record<string, string> }
}

function scripted(container: string, workload: Workload): WorkloadParts {
  switch (workload.does) {
    case 'sleep':
    case 'spin':
      return parts(container, { 'run-ms': 'forever' })
    case 'ignoreTerm':
      return parts(container, { 'run-ms': 'forever', 'stop-ms': '100000000' })
    case 'exit':
      return parts(container, {
        'run-ms': String(workload.afterMs ?? 100),
        'exit-code': String(workload.code),
      })
    case 'failOnce':
      return parts(container, { 'run-ms': '100', 'exit-code': '1,0' })
    case 'print':
      return parts(container, { 'run-ms': 'forever', print: workload.lines.join('\n') })
    case 'count': {
      const runMs = String((workload.lines - 1) * workload.everyMs + 50)
      // The script's first line comes at the start, its numbered ones after.
      const lines = { print: 'line 1', 'log-every-ms': String(workload.everyMs), 'log-from': '2' }
      return parts(container, { 'run-ms': runMs, ...lines })
    }
    case 'printVariable':
      return parts(container, { 'run-ms': 'forever', print: `$(${workload.variable})` })
    case 'becomeReady': {
      const made = parts(container, { 'run-ms': 'forever', 'ready-after-ms': String(workload.afterMs) })
      return { ...made, container: { readinessProbe: { exec: { command: ['true'] } } } }
    }
    default:
      throw new Error(`no script for ${JSON.stringify(workload)}`)
  }
}

backendContract('the simulator', async (): Promise<BackendHarness> => {
  const clock = new FakeClock()
  const world = new SimulatedWorld({ clock })
  let backend = new SimulatorBackend({ name: 'simulated', world })
  return {
    clock,
    backend: () => backend,
    restartProcess: async () => {
      await backend.close()
      backend = new SimulatorBackend({ name: 'simulated', world })
      return backend
    },
    workload: scripted,
    pause: async () => await clock.advance(20),
    patienceMs: 120_000,
    close: async () => await backend.close(),
  }
})
