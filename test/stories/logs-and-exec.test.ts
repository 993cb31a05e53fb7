import { spawn } from 'node:child_process'
import { request } from 'node:https'
import { beforeAll, describe, expect, test } from 'vitest'
import { pods, serviceAccounts } from '../../src/kube/resources.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-logs-and-exec'
const told = story(namespace)

beforeAll(async () => {
  const { api, signal, until, pod } = told.current
  const talker = scriptPod({ namespace, name: 'talker' }, countTo(3), outByHand)
  const [main] = talker.spec?.containers ?? []
  if (!talker.spec || !main) throw new Error('a script Pod has a container')
  talker.spec.containers.push({
    ...main,
    name: 'other',
    command: ['sh', '-c', 'echo other; exec sleep 3600'],
  })
  await api.create(pods, talker, signal)
  await api.create(pods, scriptPod({ namespace, name: 'brief' }, `${countTo(3)}; exit 3`, outByHand), signal)
  const forever = 'echo first; exec sleep 3600'
  await api.create(pods, scriptPod({ namespace, name: 'shell' }, forever, outByHand), signal)
  await until('the shell is ready', () => isReady(pod('shell')))
  await until('the brief one has ended', () => pod('brief')?.status?.phase === 'Failed')
})

describe('kubectl logs', () => {
  test('shows what a finished Pod wrote, in order and once', async () => {
    expect(await logs('brief')).toBe('line 1\nline 2\nline 3\n')
  })

  test('--tail, --timestamps, --limit-bytes and --since choose and mark lines', async () => {
    expect(await logs('brief', '--tail=1')).toBe('line 3\n')
    expect(await logs('brief', '--tail=1', '--timestamps')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+\S* line 3\n$/)
    expect(await logs('brief', '--limit-bytes=6')).toBe('line 1')
    expect(await logs('brief', '--since=1h')).toBe('line 1\nline 2\nline 3\n')
    const end = told.current.pod('brief')?.status?.containerStatuses?.[0]?.state?.terminated?.finishedAt
    const later = new Date(Date.parse(String(end)) + 60_000).toISOString()
    expect(await logs('brief', `--since-time=${later}`)).toBe('')
  })

  test('tells the containers of one Pod apart', async () => {
    const { until } = told.current
    await until('both have spoken', async () => /line 3/.test(await logs('talker', '-c', 'main')))
    expect(await logs('talker', '-c', 'other')).toBe('other\n')
    expect(await logs('talker', '--all-containers')).toContain('other\n')
    const { code, stderr } = await told.current.kubectl('logs', 'talker', '-c', 'nobody')
    expect(code).not.toBe(0)
    expect(stderr).toContain('nobody')
  })

  test('-f follows to the container’s end, and ends with it', async () => {
    const { api, signal, until, pod } = told.current
    const script = 'until test -e /tmp/go; do sleep 0.1; done; echo after; exit 0'
    await api.create(
      pods,
      scriptPod({ namespace, name: 'followed' }, `echo before; ${script}`, outByHand),
      signal,
    )
    await until('it runs', () => isReady(pod('followed')))
    const followed = told.current.kubectl('logs', '-f', 'followed')
    expect((await exec('followed', ['touch', '/tmp/go'])).code).toBe(0)
    expect(await followed).toMatchObject({ code: 0, stdout: 'before\nafter\n' })
  })
})

describe('kubectl exec', () => {
  test('keeps output and errors apart and hands back the exit code', async () => {
    const result = await exec('shell', ['sh', '-c', 'echo out; echo err >&2; exit 7'])
    expect(result).toMatchObject({ code: 7, stdout: 'out\n' })
    expect(result.stderr).toContain('err\n')
    expect(result.stderr).toContain('exit code 7')
  })

  test('says what is wrong with a command that is not there', async () => {
    const { code, stderr } = await exec('shell', ['/no/such/program'])
    expect(code).not.toBe(0)
    expect(stderr).toContain('/no/such/program')
  })

  test('-i passes standard input through to its end, byte for byte', async () => {
    const input = 'x'.repeat(300_000)
    const result = await piped(['exec', '-i', 'shell', '--', 'sh', '-c', 'wc -c'], input)
    expect(result.trim()).toBe('300000')
  })

  test('-t gives a terminal of the user’s size, and passes on a change of it', async () => {
    const sized = (size: string): string => `until [ "$(stty size)" = "${size}" ]; do sleep 0.1; done`
    const inside = `${sized('40 100')}; echo small; touch /tmp/sized; ${sized('50 132')}; echo large`
    const { kubectlCommand } = commands()
    const resize = `until ${kubectlCommand} exec shell -- test -e /tmp/sized; do :; done; stty rows 50 cols 132 </dev/tty`
    const outside = `stty rows 40 cols 100; (${resize}) 2>/dev/null & ${kubectlCommand} exec -it shell -- sh -c '${inside}'`
    const output = await run('script', ['-qec', outside, '/dev/null'], undefined)
    expect(output).toContain('small')
    expect(output).toContain('large')
  })
})

describe('kubectl attach', () => {
  test('-i talks with the process that runs', async () => {
    const { api, signal, until, pod } = told.current
    const echo = scriptPod({ namespace, name: 'echo' }, 'read word; echo "heard $word"', outByHand)
    const [main] = echo.spec?.containers ?? []
    if (main) Object.assign(main, { stdin: true, stdinOnce: true })
    await api.create(pods, echo, signal)
    await until('it runs', () => isReady(pod('echo')))
    expect(await piped(['attach', '-i', 'echo'], 'hello\n')).toContain('heard hello')
    await until('it has ended well', () => pod('echo')?.status?.phase === 'Succeeded')
  })
})

describe('the node API itself', () => {
  test('refuses who is not known, and who has no rights', async () => {
    const { api, signal, kubectl } = told.current
    expect(await ask(undefined)).toBe(401)
    expect(await ask('not-a-token')).toBe(401)
    await api.create(serviceAccounts, { metadata: { namespace, name: 'nobody' } }, signal)
    const { stdout } = await kubectl('create', 'token', 'nobody')
    expect(await ask(stdout.trim())).toBe(403)
  })

  test('lists the node’s Pods through the API server', async () => {
    const node = told.current.pod('shell')?.spec?.nodeName
    const { stdout } = await told.current.kubectl('get', '--raw', `/api/v1/nodes/${node}/proxy/pods`)
    const list = JSON.parse(stdout) as { kind: string; items: { metadata: { name: string } }[] }
    expect(list.kind).toBe('PodList')
    expect(list.items.map(({ metadata }) => metadata.name)).toContain('shell')
  })
})

function countTo(last: number): string {
  return `for i in $(seq ${last}); do echo "line $i"; done`
}

async function logs(...args: readonly string[]): Promise<string> {
  return (await told.current.kubectl('logs', ...args)).stdout
}

async function exec(pod: string, command: readonly string[]) {
  return await told.current.kubectl('exec', pod, '--', ...command)
}

function commands() {
  const { kubectl, kubeconfig } = told.current.binaries
  return { kubectl, kubectlCommand: `${kubectl} --kubeconfig=${kubeconfig} -n ${namespace}` }
}

async function piped(args: readonly string[], input: string): Promise<string> {
  const { kubectl, kubeconfig } = told.current.binaries
  return await run(kubectl, [`--kubeconfig=${kubeconfig}`, '-n', namespace, ...args], input)
}

/** What the program writes; its standard input stays open when nothing is to be said. */
async function run(program: string, args: readonly string[], input: string | undefined): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], signal: told.current.signal })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.on('error', reject)
  child.on('close', () => resolve(output))
  if (input !== undefined) child.stdin.end(input)
  return await promise
}

/** The status of a GET of /pods, straight at the node. */
async function ask(token: string | undefined): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const host = told.current.pod('shell')?.status?.hostIP
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const url = `https://${host}:10260/pods`
  // The certificate is for the API server to check; here only who is asked for matters.
  const call = request(url, { headers, rejectUnauthorized: false }, (answer) => {
    answer.resume()
    resolve(answer.statusCode ?? 0)
  })
  call.on('error', reject)
  call.end()
  return await promise
}
