import { Type, type Static, type TString } from 'typebox'
import { validate } from '../../config/validate.ts'
import { sysctlNamespace } from '../../lifecycle/sysctls.ts'
import type { Owner } from './marks.ts'
import { networkOptionsSchema, networkProblems } from './network/network-options.ts'
import { evictionSignals } from './resources/thresholds.ts'

/** What a Pod can be let at of the machine and of the Pods beside it. Each breaks their isolation. */
export const allowances = ['hostIPC', 'hostNetwork', 'hostPath', 'hostPID', 'hostPort', 'privileged'] as const

export type Allowance = (typeof allowances)[number]

/** Kubelet has none by default; a Pod among strangers must not take all process ids of the machine. */
export const defaultPodPidsLimit = 4096

/** `backends[].options` of a backend of kind `cri`. */
export const criOptionsSchema = Type.Object(
  {
    socket: Type.String({
      pattern: '^/',
      maxLength: 100,
      description:
        'Path of the containerd socket. No kubelet may use the same containerd: it would remove our Pods.',
    }),
    stateDir: Type.String({
      pattern: '^/',
      description:
        'Folder for volumes, logs and what must survive a restart; on the machine of the containerd.',
    }),
    cgroupParent: Type.String({
      pattern: '^/[^/].*[^/]$',
      description: "Below it every Pod has its own cgroup, as in '/spillway/pods'. For the cgroupfs driver.",
    }),
    runtimeHandler: Type.Optional(
      Type.String({
        description:
          'Handler for the sandboxes of pools that choose none. Default gVisor’s, where containerd has one; never runc.',
      }),
    ),
    runtimeHandlers: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description:
          'Handlers of containerd that a RuntimeClass may name, besides the default and gVisor’s. Pools may choose any. Default none.',
      }),
    ),
    allow: Type.Optional(
      Type.Array(Type.Enum(allowances), {
        description: `What Pods may share with the machine, at the cost of isolation: ${allowances.join(', ')}. Default nothing.`,
      }),
    ),
    capabilities: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Z][A-Z_]+$' }), {
        description:
          'Linux capabilities that containers may add beyond the usual, as in NET_ADMIN; ALL for every one. Default none.',
      }),
    ),
    unsafeSysctls: Type.Optional(
      Type.Array(Type.String({ pattern: '^[a-z0-9]([-_a-z0-9]*[./])*[-_a-z0-9]*\\*?$', maxLength: 253 }), {
        description:
          'Kernel parameters that Pods may set besides the safe ones: names, or beginnings that end in *, of a Pod’s own namespaces. Default none.',
      }),
    ),
    seccompProfiles: Type.Optional(
      Type.String({
        pattern: '^/',
        description: 'Folder of the seccomp profiles that Pods may name as Localhost. Default none.',
      }),
    ),
    firstUserNamespaceId: Type.Optional(
      Type.Integer({
        minimum: 65_536,
        maximum: 2_147_418_112,
        multipleOf: 65_536,
        description:
          'Where the user and group ids of Pods with hostUsers: false begin on the machine, 65536 for each; for several backends on one machine. Default 1879048192.',
      }),
    ),
    cpuOvercommit: Type.Optional(
      Type.Number({ minimum: 1, maximum: 100, description: 'How often each CPU is given out. Default 4.' }),
    ),
    memoryOvercommit: Type.Optional(
      Type.Number({
        minimum: 0.1,
        maximum: 10,
        description: 'How often the memory is given out. Default 1.',
      }),
    ),
    pods: Type.Optional(Type.Integer({ minimum: 1, description: 'Most Pods at a time. Default 250.' })),
    podPidsLimit: Type.Optional(
      Type.Integer({
        minimum: 64,
        maximum: 4_194_304,
        description: `Most processes and threads of a Pod at a time; more fail in it, and in no other. Default ${defaultPodPidsLimit}.`,
      }),
    ),
    parallelSandboxes: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'How many sandboxes are made at once. Default: four times the CPUs.',
      }),
    ),
    logMaxBytes: Type.Optional(
      Type.Integer({ minimum: 4096, description: 'Rotation size. Default 10 MiB.' }),
    ),
    logMaxFiles: Type.Optional(
      Type.Integer({ minimum: 2, description: 'Log files per container. Default 5.' }),
    ),
    evictionHard: Type.Optional(
      Type.Partial(
        Type.Object(
          Object.fromEntries(
            evictionSignals.map((signal) => [
              signal,
              Type.String({
                pattern: '^[0-9]{1,15}([.][0-9]+)?(%|[kMGTPE]|[KMGTPE]i)?$',
                description:
                  'What has to be left, as an amount (1Gi) or a share (10%); with less the node is under pressure, and Pods have to go.',
              }),
            ]),
          ) as Record<(typeof evictionSignals)[number], TString>,
        ),
        {
          additionalProperties: false,
          description:
            'As in kubelet’s configuration. Default memory.available 100Mi, nodefs.available 10%, imagefs.available 15%, nodefs.inodesFree, imagefs.inodesFree and pid.available 5%.',
        },
      ),
    ),
    imageGc: Type.Optional(
      Type.Object(
        {
          highThresholdPercent: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 100,
              description: 'Use of the image disk from which on images are removed; 100: never. Default 85.',
            }),
          ),
          lowThresholdPercent: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 100,
              description: 'Use of the image disk down to which images are removed. Default 80.',
            }),
          ),
          minimumAgeSeconds: Type.Optional(
            Type.Integer({
              minimum: 0,
              description: 'How long an image is kept after it was first seen. Default 120.',
            }),
          ),
        },
        {
          additionalProperties: false,
          description:
            'Removal of images that we pulled and that no container uses, the longest unused first, as kubelet does.',
        },
      ),
    ),
    network: Type.Optional(networkOptionsSchema),
    resolvConf: Type.Optional(
      Type.String({ pattern: '^/', description: 'Default DNS settings of Pods. Default /etc/resolv.conf.' }),
    ),
  },
  { additionalProperties: false },
)

export type CriOptions = Static<typeof criOptionsSchema>

/** kubelet's. */
export const defaultImageGc = { highThresholdPercent: 85, lowThresholdPercent: 80, minimumAgeSeconds: 120 }

/** Everything that is wrong with the options, one sentence each; empty when they are `CriOptions`. */
export function criOptionProblems(options: unknown, prefix: string): string[] {
  const problems = validate(criOptionsSchema, options, prefix)
  if (problems.length > 0) return problems
  const { network = {} } = options as CriOptions
  return [
    ...imageGcProblems(options as CriOptions, prefix),
    ...sysctlProblems(options as CriOptions, prefix),
    ...networkProblems(network, `${prefix}.network`),
  ]
}

function imageGcProblems({ imageGc = {} }: CriOptions, prefix: string): string[] {
  const { highThresholdPercent: high, lowThresholdPercent: low } = { ...defaultImageGc, ...imageGc }
  if (low <= high) return []
  return [
    `${prefix}.imageGc.lowThresholdPercent: found ${low}; allowed: at most highThresholdPercent, which is ${high}`,
  ]
}

function sysctlProblems({ unsafeSysctls = [] }: CriOptions, prefix: string): string[] {
  return unsafeSysctls.flatMap((name, index) => {
    if (sysctlNamespace(name)) return []
    const allowed = 'net.*, fs.mqueue.*, user.*, kernel.shm*, kernel.msg*, kernel.sem, kernel.domainname'
    return `${prefix}.unsafeSysctls[${index}]: found "${name}", which is the machine's; a Pod has its own of: ${allowed}`
  })
}

export interface CriSettings extends Owner {
  readonly name: string
  readonly options: CriOptions
}

export const relistMs = 30_000
