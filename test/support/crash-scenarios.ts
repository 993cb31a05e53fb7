import type { Pod } from '../../src/model/kubernetes.ts'
import { aContainer, aPod } from './builders.ts'
import { resourcesFor, type LedgerWorld, type TrueSpec } from './ledger-world.ts'

/** What happens to one Pod, by the clock of the scenario; everything else is Spillway's. */
export interface CrashScenario {
  readonly name: string
  readonly restartPolicy: 'Always' | 'Never'
  readonly happens: readonly { readonly atMs: number; readonly what: Happening }[]
  /** What the backend answers to a change of size. */
  readonly refusesResize?: true
  /** Which ends the ledger is to know, and how well. */
  readonly ends: readonly ('exact' | 'recorded' | 'estimated')[]
}

export type Happening =
  | 'run'
  | 'end'
  | 'complete'
  | 'lose the sandbox'
  | 'replace the sandbox'
  | 'vanish'
  | 'delete'
  | 'grow'
  | 'shrink'

export const begunSpec: TrueSpec = { cpuMillis: 1000n, memoryMiB: 2048n, gpus: 0n }
export const sizes: Readonly<Record<'grow' | 'shrink', TrueSpec>> = {
  grow: { cpuMillis: 3000n, memoryMiB: 4096n, gpus: 0n },
  shrink: { cpuMillis: 500n, memoryMiB: 1024n, gpus: 0n },
}

const at = (atMs: number, what: Happening) => ({ atMs, what })

export const crashScenarios: readonly CrashScenario[] = [
  {
    name: 'runs and completes',
    restartPolicy: 'Never',
    happens: [at(250, 'run'), at(3_130, 'complete'), at(4_000, 'delete')],
    ends: ['exact'],
  },
  {
    name: 'is deleted while it runs',
    restartPolicy: 'Always',
    happens: [at(250, 'run'), at(2_600, 'delete')],
    ends: ['exact'],
  },
  {
    name: 'is deleted before anything runs',
    restartPolicy: 'Always',
    happens: [at(500, 'delete')],
    ends: ['recorded'],
  },
  {
    name: 'grows, and shrinks',
    restartPolicy: 'Always',
    happens: [at(250, 'run'), at(1_300, 'grow'), at(2_900, 'shrink'), at(4_100, 'delete')],
    ends: ['exact'],
  },
  {
    name: 'is not given the size that it asks for',
    restartPolicy: 'Always',
    happens: [at(250, 'run'), at(1_300, 'grow'), at(4_100, 'delete')],
    refusesResize: true,
    ends: ['exact'],
  },
  {
    name: 'is lost with all traces, and begins anew',
    restartPolicy: 'Always',
    happens: [at(250, 'run'), at(2_330, 'vanish'), at(3_300, 'run'), at(5_000, 'delete')],
    ends: ['estimated', 'exact'],
  },
  {
    name: 'loses its sandbox, and gets another',
    restartPolicy: 'Always',
    happens: [
      at(250, 'run'),
      at(2_330, 'lose the sandbox'),
      at(2_700, 'replace the sandbox'),
      at(3_100, 'run'),
      at(5_000, 'delete'),
    ],
    ends: ['exact', 'exact'],
  },
]

export function podAt(generation: number, spec: TrueSpec, { restartPolicy }: CrashScenario): Pod {
  const { containers } = resourcesFor(spec)
  return aPod({
    uid: '11111111-1111-4111-8111-111111111111',
    name: 'web',
    metadata: { generation, resourceVersion: '1' },
    spec: {
      restartPolicy,
      terminationGracePeriodSeconds: 2,
      containers: [aContainer({ resources: containers['main'] ?? {} })],
    },
  })
}

/** What is the world's own doing; the rest is the API server's. */
export function happen(world: LedgerWorld, atMs: number, what: Happening): void {
  switch (what) {
    case 'run':
      return world.run(atMs)
    case 'end':
      return world.end(atMs, false)
    case 'complete':
      return world.end(atMs, true)
    case 'lose the sandbox':
      return world.loseSandbox(atMs)
    case 'replace the sandbox':
      return world.replaceSandbox(atMs)
    case 'vanish':
      return world.vanish(atMs)
    case 'delete':
    case 'grow':
    case 'shrink':
  }
}
