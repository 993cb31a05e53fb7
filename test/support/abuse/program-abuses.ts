import type { Abuse, HostileContainer, Judgement, Place } from './abuse.ts'
import { letThrough, scripted } from './abuse.ts'
import { hostileProgramImage } from './hostile-program.ts'

/** Nobody's: virtual Pods have addresses up to 10.245.7.254. */
const stranger = '10.245.99.98'

function program(args: readonly string[], more: Partial<HostileContainer> = {}): HostileContainer {
  return { name: 'main', image: hostileProgramImage, args: [...args], ...more }
}

/**
 * Calls that are let in without harm. On gVisor no call of a Pod reaches the machine's kernel: what is answered is answered by
 * the sandbox's own, about itself, and docs/security-tests.md says of each what it is.
 */
const answered: Readonly<Record<Place['handler'], readonly string[]>> = {
  // A handle is a number; the call that opens one is refused.
  runc: ['name_to_handle_at'],
  gvisor: [
    'unshare: user',
    'unshare: process',
    'unshare: cgroup',
    'unshare: time',
    'clone: user',
    'clone: mount',
    'clone3',
    'perf_event_open',
    'name_to_handle_at',
    'open_by_handle_at',
    'syslog',
    'personality: no randomization',
    'set_mempolicy',
    'pidfd_getfd',
    'sched_setscheduler: real time',
  ],
}

const enoughCalls = 60

export function judgeCalls(said: string, handler: Place['handler']): Judgement {
  const calls = [...said.matchAll(/^(answered|refused) (.+) \((\w+)\)$/gm)].map(
    ([, outcome = '', name = '', why = '']) => ({ outcome, name, why }),
  )
  const letIn = calls.filter(({ outcome }) => outcome === 'answered')
  const bad = letIn
    .filter(({ name }) => !answered[handler].includes(name))
    .map(({ name, why }) => `LET ${name} (${why})`)
  const few = calls.length < enoughCalls ? [`LET only ${calls.length} calls were made`] : []
  const own = handler === 'gvisor' ? 'answered by gVisor’s own kernel' : 'answered without harm'
  return {
    bad: [...bad, ...few],
    how: `${calls.length - letIn.length} of ${calls.length} calls refused, ${letIn.length} ${own}`,
  }
}

/** What a Pod sees of processes that are not the looking container's own. */
export function judgeProcesses(said: string, mayShare: boolean): Judgement {
  const seen = said.match(/^sees .*$/gm) ?? []
  const own = /^sees (\/pause|\/hostile-program prey): /
  const bad = seen.filter((line) => !mayShare || !own.test(line)).map((line) => `LET ${line}`)
  const sharesAsAsked = !mayShare || seen.some((line) => line.includes('prey'))
  return {
    bad: sharesAsAsked ? bad : [...bad, 'LET nothing is shared that the Pod asked to share'],
    how: seen.length === 0 ? 'sees no other process' : `only its own Pod’s: ${seen.join('; ')}`,
  }
}

const looked = /tried 1 to \d+/

/** The highest process number. */
const tried = ({ whole }: Place): string => String(whole ? 1 << 16 : 1 << 12)

/** Folders of a shared volume, and what they are links to in turn. */
const targets = { a: '/', b: '/etc', c: '..' } as const

/** Start one after the other, and look at what they were given by sub-path: a folder that is there, or one to be made in it. */
function victims(count: number, trace: string): readonly HostileContainer[] {
  return Array.from({ length: count }, (_, at) => {
    const folder = Object.keys(targets)[at % 3] ?? ''
    const [subPath, asIs] =
      at % 2 === 0
        ? [folder, 'test -d /seen/inside']
        : [`${folder}/${trace}-${at}`, 'test -z "$(ls -A /seen)"']
    const look = `${asIs} || echo "LET $(ls -A /seen | head -n 5)"; touch /seen/${trace}`
    const volumeMounts = [{ name: 'shared', mountPath: '/seen', subPath }]
    return scripted(look, { name: `victim-${at}`, volumeMounts })
  })
}

const witness = 'abuse_witness'

/** Counts what has come past the rules of its own sender, on the bridge that all virtual Pods are on. */
async function setWitness({ story, neighbourIp }: Place): Promise<void> {
  const pings = 'icmp type echo-request icmp id 0x5a5a'
  const counted = `
    ip saddr ${stranger} counter name foreign
    arp saddr ip ${stranger} counter name claims
    arp operation reply arp saddr ip ${neighbourIp} ether daddr ff:ff:ff:ff:ff:ff counter name claims
    ${pings} ip saddr != ${stranger} counter name own`
  await machine(
    story,
    `nft delete table bridge ${witness} 2>/dev/null || true
    nft -f - <<'END'
    table bridge ${witness} {
      counter own { }
      counter foreign { }
      counter claims { }
      chain forward { type filter hook forward priority 0; policy accept; ${counted}
      }
      chain input { type filter hook input priority 0; policy accept; ${counted}
      }
    }
END`,
  )
}

async function judgePackets(said: string, { story }: Place): Promise<Judgement> {
  const { nftables } = JSON.parse(await machine(story, `nft -j list counters table bridge ${witness}`)) as {
    readonly nftables: readonly { readonly counter?: { readonly name: string; readonly packets: number } }[]
  }
  const neighbours = await machine(story, 'ip neigh show')
  await machine(story, `nft delete table bridge ${witness}`)
  const packets = (name: string): number =>
    nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0
  const [own, foreign, claims] = [packets('own'), packets('foreign'), packets('claims')]
  const bad = [
    ...(own === 0 ? ['LET its own packets are not seen: nothing is shown'] : []),
    ...(foreign > 0 ? [`LET ${foreign} packets of a stranger`] : []),
    ...(claims > 0 ? [`LET ${claims} claims of others’ addresses`] : []),
    ...(neighbours.includes(stranger) ? ['LET the machine believes in the stranger'] : []),
  ]
  const sent = said.match(/^sent .*$/gm)?.length ?? 0
  return {
    bad,
    how: `${sent} sent, ${own} as itself have come past the rules, ${foreign + claims} of others`,
  }
}

async function machine(story: Place['story'], script: string): Promise<string> {
  const { exitCode, stdout, stderr } = await story.running.exec(['sh', '-ec', script], story.signal)
  if (exitCode !== 0) throw new Error(`${script}: ${stderr}`)
  return stdout
}

/** What takes a program of its own. */
export const programAbuses: readonly Abuse[] = [
  {
    name: 'system-calls',
    containers: () => [program(['syscalls'])],
    contained: [/^over$/m],
    judge: (said, { handler }) => judgeCalls(said, handler),
  },
  {
    name: 'processes',
    containers: (place) => [program(['processes', tried(place)]), program(['prey'], { name: 'prey' })],
    contained: [looked],
    judge: (said) => judgeProcesses(said, false),
  },
  {
    name: 'shared-processes',
    spec: () => ({ shareProcessNamespace: true }),
    containers: (place) => [
      program(['processes', tried(place), 'prey']),
      program(['prey'], { name: 'prey' }),
    ],
    contained: [looked],
    judge: (said) => judgeProcesses(said, true),
  },
  {
    name: 'packets',
    containers: ({ neighbourIp }) => [
      program(['packets', '$(POD_IP)', neighbourIp, stranger], {
        env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
      }),
    ],
    prepare: setWitness,
    contained: [/^over$/m],
    judge: judgePackets,
  },
  {
    name: 'sub-path-race',
    spec: ({ whole, canary }) => {
      const trace = canary.split('/').at(-1) ?? ''
      const pairs = Object.entries(targets).map(([name, target]) => `/shared/${name}=${target}`)
      const swapper = program(['swap', ...pairs], {
        name: 'swapper',
        restartPolicy: 'Always',
        volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        startupProbe: { exec: { command: ['test', '-e', '/shared/a.ready'] }, periodSeconds: 1 },
      })
      return {
        // A start that fails for what was put in its place meanwhile is an end of the race, too, and not of the Pod.
        restartPolicy: 'OnFailure',
        volumes: [{ name: 'shared', emptyDir: {} }],
        initContainers: [swapper, ...victims(whole ? 24 : 6, trace)],
      }
    },
    containers: () => [scripted('echo over')],
    contained: [/^over$/m],
    judge: (said, { whole }) => {
      const refused = [...said.matchAll(/failed to prepare subPath.* ×(\d+)$/gm)]
      const times = refused.reduce((sum, [, count]) => sum + Number(count), 0)
      return {
        bad: letThrough(said),
        how: `${whole ? 24 : 6} starts, ${times} times a link was met and refused`,
      }
    },
  },
]
