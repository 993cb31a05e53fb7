import type { Container, PodSpec } from '../../../src/model/kubernetes.ts'
import type { Story } from '../story.ts'
import type { ImagePress } from './press-image.ts'

/** One thing that a hostile Pod does to whoever runs it. Each ends by itself, or once it is contained. */
export interface Abuse {
  readonly name: string
  readonly containers: (place: Place) => readonly HostileContainer[]
  readonly spec?: (place: Place) => Partial<PodSpec>
  /** Over before there is a sandbox, or much the same in any: on one handler it is enough, where time is short. */
  readonly likeAnywhere?: boolean
  /** Before its Pod is made. */
  readonly prepare?: (place: Place) => Promise<void>
  /** What its log, its status or an event has to say in the end: each of them. */
  readonly contained: readonly RegExp[]
  /** What it came to. Without: lines that begin with LET are bad, and what `contained` has found is how. */
  readonly judge?: (said: string, place: Place) => Judgement | Promise<Judgement>
}

export type HostileContainer = Partial<Container> & { readonly name: string }

export interface Judgement {
  /** What went through and should not. */
  readonly bad: readonly string[]
  /** For the table. */
  readonly how: string
}

export interface Place {
  readonly story: Story
  readonly handler: 'runc' | 'gvisor'
  readonly neighbourIp: string
  readonly press: ImagePress
  /** Where it keeps what it has made. */
  readonly pressDir: string
  /** A folder of the machine with a file "file"; its last part is in the name of all that is written by hostile hands. */
  readonly canary: string
  /** Of the hostile program. */
  readonly program: string
  /** All of it, as `npm run security` has the time for. */
  readonly whole: boolean
}

export const busybox = 'docker.io/library/busybox:1.37'

/** Tells by a line of its own whether the command did what it should not. */
export const attempt = (what: string, command: string): string =>
  `if sh -c '${command}' >/dev/null 2>/tmp/why; then echo "LET ${what}"; else echo "refused ${what}: $(head -n 1 /tmp/why)"; fi`

/** A container of busybox with a script for `sh -c`. */
export function scripted(script: string, more: Partial<Container> = {}): HostileContainer {
  return { name: 'main', image: busybox, command: ['sh', '-c', script], ...more }
}

/** Lines of logs that say so; not a message that quotes a script. */
export function letThrough(said: string): readonly string[] {
  return [...said.matchAll(/^(?:[\w-]+: )?(LET .*)$/gm)].map(([, line = '']) => line)
}

export function judgeByLines(said: string, contained: readonly RegExp[]): Judgement {
  return {
    bad: letThrough(said),
    how: contained.map((pattern) => said.match(pattern)?.[0] ?? '').join(', '),
  }
}
