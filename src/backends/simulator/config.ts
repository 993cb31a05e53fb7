import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { sandboxKinds } from '../../model/capability.ts'
import { SpillwayError } from '../../model/errors.ts'

const milliseconds = (description: string) => Type.Optional(Type.Number({ minimum: 0, description }))
const quantity = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))

/** `backends[].options` of a backend of kind `simulator`. Pods add to it by annotation: `script.ts`. */
export const simulatorOptionsSchema = Type.Object(
  {
    seed: Type.Optional(Type.Integer({ minimum: 0, description: 'where all chance comes from (1)' })),
    sandboxMs: milliseconds('time to make a sandbox (130)'),
    pullMs: milliseconds('time to pull an image that is not here yet (400)'),
    startMs: milliseconds('time to start a container (70)'),
    stopMs: milliseconds('time that a container takes to end when asked to (50)'),
    jitter: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        description: 'share of each of these times that is chance (0.1)',
      }),
    ),
    taskMs: milliseconds('how long containers of Pods that do not restart run, unless scripted (1000)'),
    initMs: milliseconds('how long init containers run, unless scripted (50)'),
    termExitCode: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 255, description: 'exit code of what ends when asked to (0)' }),
    ),
    cpu: quantity('processors in all (1000)'),
    memory: quantity('memory in all (4Ti)'),
    ephemeralStorage: quantity('local disk in all (100Ti)'),
    pods: Type.Optional(Type.Integer({ minimum: 1, description: 'Pods in all (100000)' })),
    extended: Type.Optional(
      Type.Record(Type.String({ pattern: '^[^/]+/[^/]+$' }), Type.Integer({ minimum: 1 }), {
        description: 'what else there is in all, by the name of the resource, as in nvidia.com/gpu (nothing)',
      }),
    ),
    podCidr: Type.Optional(
      Type.String({
        pattern: String.raw`^\d+\.\d+\.\d+\.\d+/\d+$`,
        description: 'IPv4 range of the Pods’ addresses (10.128.0.0/10)',
      }),
    ),
    sandboxHandlers: Type.Optional(
      Type.Record(Type.String({ minLength: 1 }), Type.Enum(sandboxKinds), {
        description:
          'handlers that it says it has, by their kind, as of a containerd host: a pool that chooses none gets gVisor or nothing (one of its own, for every Pod)',
      }),
    ),
    missingImages: Type.Optional(
      Type.Array(Type.String(), { description: 'images whose pull fails, as if they did not exist' }),
    ),
  },
  { additionalProperties: false },
)

export type SimulatorOptions = Static<typeof simulatorOptionsSchema>
export type SimulatorConfig = Required<SimulatorOptions>

const defaults: SimulatorConfig = {
  seed: 1,
  sandboxMs: 130,
  pullMs: 400,
  startMs: 70,
  stopMs: 50,
  jitter: 0.1,
  taskMs: 1000,
  initMs: 50,
  termExitCode: 0,
  cpu: '1000',
  memory: '4Ti',
  ephemeralStorage: '100Ti',
  pods: 100_000,
  extended: {},
  podCidr: '10.128.0.0/10',
  sandboxHandlers: {},
  missingImages: [],
}

const validator = Compile(simulatorOptionsSchema)

/** The options with defaults filled in. Throws ConfigInvalid naming each field that is wrong. */
export function simulatorConfig(options: unknown): SimulatorConfig {
  const given = options ?? {}
  if (!validator.Check(given)) {
    const problems = validator
      .Errors(given)
      .map(({ instancePath, message }) => `options${instancePath}: ${message}`)
    throw new SpillwayError('ConfigInvalid', `simulator backend: ${problems.join('; ')}`)
  }
  return { ...defaults, ...given }
}
