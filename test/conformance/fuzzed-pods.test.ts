/**
 * What the API server lets through of a Pod, in combinations that nobody would write, through the pure part of its way to
 * containerd. `npm run security:fuzzed-pods` does it with 10,000.
 */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { podPaths } from '../../src/backends/cri/paths.ts'
import {
  containerConfig,
  plannedContainers,
  sandboxConfig,
} from '../../src/backends/cri/translate/translate.ts'
import { flatDemo } from '../../src/billing/price-books/flat-demo.ts'
import { admit } from '../../src/lifecycle/admission.ts'
import { featuresOf } from '../../src/lifecycle/features.ts'
import { profileRefusal } from '../../src/lifecycle/security-profile.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Pod, PodSpec } from '../../src/model/kubernetes.ts'
import { podRef } from '../../src/model/pod-key.ts'
import { podRequests } from '../../src/model/resources.ts'
import { strictestProfile } from '../../src/model/security-profile.ts'
import { chooseSpec } from '../../src/model/spec.ts'
import { aNode, aPod, capabilities } from '../support/builders.ts'
import { image, owner } from '../support/cri-samples.ts'

const numRuns = Number(process.env['SPILLWAY_FUZZED_PODS'] ?? 200)

const quantity = fc.oneof(
  fc.constantFrom(
    '0',
    '1',
    '100m',
    '1n',
    '0.5',
    '1e3',
    '1E',
    '9223372036854775807',
    '8Ei',
    '1.5Gi',
    '-0',
    '+1',
    '.5',
  ),
  fc.nat().map(String),
)
const text = fc.oneof(
  fc.constantFrom(
    '',
    '$(A)',
    '$$(A',
    '$(',
    '__proto__',
    'constructor',
    '../..',
    '/',
    '\u0000',
    '\u{1F600}',
    'x'.repeat(5000),
  ),
  fc.string(),
)
const resourceName = fc.constantFrom(
  'cpu',
  'memory',
  'ephemeral-storage',
  'hugepages-2Mi',
  'nvidia.com/gpu',
  '__proto__',
  'a/b',
)
const amounts = fc.dictionary(resourceName, quantity, { maxKeys: 4 })
const number = fc.oneof(fc.constantFrom(0, 1, -1, 65_535, 2 ** 31 - 1, 2 ** 40), fc.nat())
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const security = fc.record(
  {
    privileged: fc.boolean(),
    runAsUser: number,
    runAsNonRoot: fc.boolean(),
    readOnlyRootFilesystem: fc.boolean(),
    procMount: fc.constantFrom('Default', 'Unmasked'),
    capabilities: fc.record(
      { add: fc.array(text, { maxLength: 3 }), drop: fc.array(text, { maxLength: 3 }) },
      { requiredKeys: [] },
    ),
    seccompProfile: fc.record({
      type: fc.constantFrom('Unconfined', 'RuntimeDefault', 'Localhost'),
      localhostProfile: text,
    }),
    sysctls: fc.array(fc.record({ name: text, value: text }), { maxLength: 3 }),
    fsGroup: number,
    supplementalGroups: fc.array(number, { maxLength: 3 }),
  },
  { requiredKeys: [] },
)
const port = fc.record(
  { containerPort: number, hostPort: number, hostIP: text, protocol: fc.constantFrom('TCP', 'UDP', 'SCTP') },
  { requiredKeys: ['containerPort'] },
)
const container = fc.record(
  {
    name: fc.constantFrom('app', 'a', 'b', '__proto__'),
    image: text,
    command: fc.array(text, { maxLength: 3 }),
    args: fc.array(text, { maxLength: 3 }),
    workingDir: text,
    tty: fc.boolean(),
    stdin: fc.boolean(),
    resources: fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] }),
    securityContext: security,
    ports: fc.array(port, { maxLength: 3 }),
    restartPolicy: fc.constant('Always'),
    env: fc.array(fc.record({ name: text, value: text }), { maxLength: 3 }),
    lifecycle: fc.record({ stopSignal: fc.constantFrom('SIGTERM', 'SIGRTMIN+1', 'SIGNONE') }),
  },
  { requiredKeys: ['name', 'image'] },
)
const volume = fc.oneof(
  fc.record({
    name: text,
    emptyDir: fc.record(
      { medium: fc.constantFrom('', 'Memory', 'HugePages-3Mi'), sizeLimit: quantity },
      { requiredKeys: [] },
    ),
  }),
  fc.record({ name: text, hostPath: fc.record({ path: text }) }),
  fc.record({ name: text, iscsi: fc.record({ iqn: text }) }),
  fc.record({ name: text }),
)
const toleration = fc.record(
  { key: text, operator: fc.constantFrom('Exists', 'Equal', 'Gt'), value: text, effect: text },
  { requiredKeys: [] },
)
const spec = fc.record({
  containers: fc.array(container, { minLength: 1, maxLength: 3 }),
  initContainers: maybe(fc.array(container, { maxLength: 2 })),
  ephemeralContainers: maybe(fc.array(container, { maxLength: 1 })),
  volumes: maybe(fc.array(volume, { maxLength: 3 })),
  resources: maybe(fc.record({ requests: amounts, limits: amounts }, { requiredKeys: [] })),
  overhead: maybe(amounts),
  securityContext: maybe(security),
  hostNetwork: maybe(fc.boolean()),
  hostPID: maybe(fc.boolean()),
  shareProcessNamespace: maybe(fc.boolean()),
  hostUsers: maybe(fc.boolean()),
  nodeSelector: maybe(fc.dictionary(text, text, { maxKeys: 2 })),
  tolerations: maybe(fc.array(toleration, { maxLength: 3 })),
  priority: maybe(number),
}) as unknown as fc.Arbitrary<PodSpec>

const machine = {
  memoryBytes: 2n ** 34n,
  cgroupVersion: 2 as const,
  limitsSwap: true,
  hugepageSizes: ['2MB'],
  maskedPaths: [],
}

function steps(pod: Pod): Readonly<Record<string, () => unknown>> {
  const paths = podPaths('/state', podRef(pod))
  const shared = { pod, owner, paths, attempt: 0 }
  const dns = { servers: [], searches: [], options: [] }
  return {
    featuresOf: () => featuresOf(pod),
    profileRefusal: () => profileRefusal(pod, strictestProfile, 'burst'),
    podRequests: () => podRequests(pod),
    chooseSpec: () => chooseSpec(pod, flatDemo),
    admit: () => admit({ pod, node: aNode(), others: [], capabilities: capabilities() }),
    sandboxConfig: () =>
      sandboxConfig({ ...shared, nodeName: 'n', hostname: 'web', dns, cgroupParent: '/p' }),
    containerConfig: () =>
      plannedContainers(pod).map((planned) =>
        containerConfig({
          ...shared,
          ...planned,
          backoffMs: 0,
          podIp: '10.0.0.1',
          image,
          environment: [{ key: 'A', value: '$(A)' }],
          volumeMounts: [],
          etcHosts: '/h',
          machine,
        }),
      ),
  }
}

it('an odd Pod is translated or refused with an error of the table, at each step of its way', () => {
  const passed = new Map<string, number>()
  fc.assert(
    fc.property(spec, (odd) => {
      for (const [step, take] of Object.entries(steps(aPod({ spec: odd })))) {
        try {
          take()
          passed.set(step, (passed.get(step) ?? 0) + 1)
        } catch (error) {
          expect(error, step).toBeInstanceOf(SpillwayError)
        }
      }
    }),
    { numRuns },
  )
  if (process.env['SPILLWAY_FUZZED_PODS'])
    process.stdout.write(`of ${numRuns} Pods not refused: ${JSON.stringify(Object.fromEntries(passed))}\n`)
  // Else most of them would only have been refused at once.
  for (const step of Object.keys(steps(aPod()))) expect(passed.get(step), step).toBeGreaterThan(numRuns / 8)
})
