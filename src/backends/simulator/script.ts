import type { Container, Pod } from '../../model/kubernetes.ts'
import type { ContainerKind } from '../../model/pod-observation.ts'
import type { SimulatorConfig } from './config.ts'

/**
 * Annotations `simulator.spillway.dev/<key>` say how a Pod's containers behave; `<key>.<container>` is for one alone.
 *
 * - `run-ms`: how long each attempt runs; `forever`
 * - `exit-code`: `3`, or one for each attempt: `1,1,0` (the last goes on)
 * - `term-exit-code`, `stop-ms`: how it ends, and how fast, when it is asked to; longer than the grace: killed, 137
 * - `started-after-ms`, `ready-after-ms`: when the startup and readiness probes succeed after the start; `never`
 * - `liveness-fails-after-ms`: when the liveness probe fails after the start
 * - `print`: the log, `$(VAR)` replaced from the container's environment; `log-every-ms`: a line this often,
 *   numbered from `log-from` (1)
 * - `cannot-run`: the message with which the runtime refuses to start it
 * - `pull-error`: the message with which its image cannot be pulled
 * - `cpu-millis`, `memory-bytes`: what it uses
 * - of the whole Pod: `fail-start` = `rejected`, `busy` or `unavailable`; `lose-sandbox-after-ms`: its first sandbox dies
 */
export const annotationPrefix = 'simulator.spillway.dev/'

export interface ContainerScript {
  /** Infinity: until it is ended. */
  readonly runMs: number
  readonly exitCodes: readonly number[]
  readonly termExitCode: number
  readonly stopMs: number
  /** Infinity: never. */
  readonly startedAfterMs: number
  readonly readyAfterMs: number
  readonly livenessFailsAfterMs: number
  readonly print: string | undefined
  readonly logEveryMs: number
  readonly logFrom: number
  readonly cannotRun: string | undefined
  readonly pullError: string | undefined
  readonly cpuMillis: number | undefined
  readonly memoryBytes: number | undefined
}

export function containerScript(
  pod: Pod,
  container: Pick<Container, 'name' | 'image' | 'readinessProbe' | 'startupProbe'>,
  kind: ContainerKind,
  config: SimulatorConfig,
): ContainerScript {
  const read = (key: string): string | undefined =>
    annotation(pod, `${key}.${container.name}`) ?? annotation(pod, key)
  const number = (key: string, otherwise: number): number => duration(read(key), otherwise)
  const image = container.image ?? ''
  const missing = config.missingImages.includes(image)
    ? `failed to pull image "${image}": not found`
    : undefined
  return {
    runMs: number('run-ms', defaultRunMs(pod, kind, config)),
    exitCodes: (read('exit-code') ?? '0').split(',').map(Number),
    termExitCode: number('term-exit-code', config.termExitCode),
    stopMs: number('stop-ms', config.stopMs),
    startedAfterMs: number('started-after-ms', probeDelayMs(container.startupProbe)),
    readyAfterMs: number('ready-after-ms', probeDelayMs(container.readinessProbe)),
    livenessFailsAfterMs: number('liveness-fails-after-ms', Infinity),
    print: read('print'),
    logEveryMs: number('log-every-ms', Infinity),
    logFrom: number('log-from', 1),
    cannotRun: read('cannot-run'),
    pullError: read('pull-error') ?? missing,
    cpuMillis: optionalNumber(read('cpu-millis')),
    memoryBytes: optionalNumber(read('memory-bytes')),
  }
}

/** What the Pod as a whole is told to do. */
export interface PodScript {
  readonly failStart: string | undefined
  readonly loseSandboxAfterMs: number
}

export function podScript(pod: Pod): PodScript {
  return {
    failStart: annotation(pod, 'fail-start'),
    loseSandboxAfterMs: duration(annotation(pod, 'lose-sandbox-after-ms'), Infinity),
  }
}

function annotation(pod: Pod, key: string): string | undefined {
  return pod.metadata?.annotations?.[`${annotationPrefix}${key}`]
}

function duration(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (text === 'forever' || text === 'never') return Infinity
  return optionalNumber(text) ?? otherwise
}

function optionalNumber(text: string | undefined): number | undefined {
  const value = Number(text)
  return text === undefined || text.trim() === '' || Number.isNaN(value) ? undefined : value
}

function defaultRunMs(pod: Pod, kind: ContainerKind, config: SimulatorConfig): number {
  if (kind === 'init') return config.initMs
  if (kind === 'sidecar' || kind === 'ephemeral') return Infinity
  return (pod.spec?.restartPolicy ?? 'Always') === 'Always' ? Infinity : config.taskMs
}

function probeDelayMs(probe: { readonly initialDelaySeconds?: number } | undefined): number {
  return (probe?.initialDelaySeconds ?? 0) * 1000
}
