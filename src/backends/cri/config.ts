import { Type, type Static } from 'typebox'
import type { Owner } from './marks.ts'

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
      Type.String({ description: 'Of the default sandbox; empty: containerd decides.' }),
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
    resolvConf: Type.Optional(
      Type.String({ pattern: '^/', description: 'Default DNS settings of Pods. Default /etc/resolv.conf.' }),
    ),
  },
  { additionalProperties: false },
)

export type CriOptions = Static<typeof criOptionsSchema>

export interface CriSettings extends Owner {
  readonly name: string
  readonly options: CriOptions
}

export const relistMs = 30_000
