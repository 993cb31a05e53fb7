import { describe, expect, it } from 'vitest'
import { matchRoute } from '../../src/kubelet-api/route.ts'
import { streamTarget, type StreamPlaces, type StreamRoute } from '../../src/kubelet-api/stream-requests.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import { aContainer, aPod } from '../support/builders.ts'

const { signal } = new AbortController()
const pod = aPod({ spec: { containers: [aContainer({ tty: true })] } })
const pods = {
  find: (namespace: string, name: string) => (`${namespace}/${name}` === 'default/web' ? pod : undefined),
  list: () => [pod],
}

/** What is answered, where the backend does `target` and notes what it was asked. */
async function ask(path: string, target = () => Promise.resolve({ url: 'http://runtime/', headers: {} })) {
  const asked: unknown[] = []
  const note = (...call: unknown[]) => {
    asked.push(call.slice(0, -1))
    return target()
  }
  const backend: StreamPlaces['backend'] = { exec: note, attach: note, portForward: note }
  const { pathname, searchParams } = new URL(path, 'https://node')
  const route = matchRoute(pathname) as StreamRoute
  return { answer: await streamTarget({ route, query: searchParams }, { backend, pods }, signal), asked }
}

const isGone = () => Promise.reject(new SpillwayError('NotFound', 'the runtime has none'))

describe('a request for a stream', () => {
  it('is handed to the backend, and connected to where that says', async () => {
    const exec = await ask('/exec/default/web/main?command=ls&command=-l&output=1&error=1')
    const streams = { stdin: false, stdout: true, stderr: true, tty: false }
    expect(exec.answer).toMatchObject({ ok: true, target: { url: 'http://runtime/' } })
    expect(exec.asked).toEqual([['uid-of-web', 'main', { command: ['ls', '-l'], ...streams }]])
    expect((await ask('/portForward/default/web?port=80,443')).asked).toEqual([['uid-of-web', [80, 443]]])
  })

  it('attaches to the terminal that the container was made with, which has one output', async () => {
    const { asked } = await ask('/attach/default/web/main?input=1&output=1')
    expect(asked).toEqual([['uid-of-web', 'main', { stdin: true, stdout: true, stderr: false, tty: true }]])
  })

  it.each([
    ['/exec/default/gone/main?output=1', 404, 'pod does not exist'],
    ['/portForward/default/web/another', 404, 'pod not found'],
    ['/exec/default/web/main', 400, 'you must specify at least 1 of stdin, stdout, stderr'],
    ['/exec/default/web/main?error=1&tty=1', 400, 'you must specify at least 1 of stdin, stdout, stderr'],
    ['/portForward/default/gone?port=x', 400, 'invalid port "x": must be a number from 1 to 65535'],
    ['/exec/default/web/main?output=1', 500, 'container not found ("main")'],
    ['/exec/default/web/another/main?output=1', 500, 'container not found ("main")'],
    ['/attach/default/web/main?output=1', 500, 'container main not found in pod web_default'],
    ['/portForward/default/web', 500, 'pod not found ("web_default")'],
  ])(
    'such as %s is answered with %d and kubelet’s sentence where it cannot be',
    async (path, status, message) => {
      expect((await ask(path, isGone)).answer).toEqual({ ok: false, status, message })
    },
  )
})
