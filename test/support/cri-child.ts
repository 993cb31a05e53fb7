/**
 * A process that starts the Pods of its arguments and lives on, for tests that kill it at any point:
 * node cri-child.ts SETTINGS-JSON POD-JSON…
 */
import { createCriBackend } from '../../src/backends/cri/backend.ts'
import type { CriBackendSettings } from '../../src/backends/cri/open-tools.ts'
import { systemClock } from '../../src/model/clock.ts'
import type { Pod } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakePodSources } from './pod-sources.ts'

const [settings = '{}', ...pods] = process.argv.slice(2)
const { signal } = new AbortController()
const backend = await createCriBackend({
  ...(JSON.parse(settings) as Pick<CriBackendSettings, 'name' | 'options' | 'owner'>),
  clock: systemClock,
  log: silentLog(),
  random: () => 0.5,
})
await backend.list(signal)
process.stdout.write('listed\n')
await Promise.all(pods.map((pod) => backend.start(JSON.parse(pod) as Pod, new FakePodSources(), signal)))
process.stdout.write('started\n')
setInterval(() => undefined, 1000)
