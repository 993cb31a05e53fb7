import * as fc from 'fast-check'

export type Credential = 'none' | 'forged' | 'expired' | 'good'

/** What one connection sends to the node API. */
export interface HostileRequest {
  readonly kind:
    'bytes' | 'cut off' | 'plain' | 'header flood' | 'long query' | 'body' | 'upgrade' | 'pipelined'
  readonly bytes: Buffer
  /** False: the sender goes away after the last byte, for no answer is due. */
  readonly answerDue: boolean
}

const odd = fc.constantFrom(
  '%',
  '%zz',
  '%00',
  '%2e%2e',
  '..',
  '%2F',
  '%C0%AF',
  '*',
  '//',
  '?',
  '#',
  ';',
  '@',
  '__proto__',
  'constructor',
  '\u00ff',
)
const segment = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('shop', 'web', 'app', 'u-1', '') },
  odd,
  fc.stringMatching(/^[\w%.~-]{0,40}$/),
)
const first = fc.constantFrom(
  'healthz',
  'pods',
  'runningpods',
  'configz',
  'stats',
  'metrics',
  'containerLogs',
  'exec',
  'attach',
  'run',
  'portForward',
  'logs',
  'debug',
  'checkpoint',
  'nothing',
)
const path = fc
  .tuple(fc.oneof({ weight: 6, arbitrary: first }, segment), fc.array(segment, { maxLength: 6 }))
  .map(([head, rest]) => `/${[head, ...rest].join('/')}`)
const target = fc.oneof(
  { weight: 8, arbitrary: path },
  fc.constantFrom('*', 'http://elsewhere/pods', 'x', '///', '/?', '/%'),
)
const value = fc.oneof(
  fc.constantFrom(
    '-1',
    '1e999',
    'NaN',
    '99999999999999999999',
    'true',
    '',
    '%',
    '65536',
    '2026-13-45T99:00:00Z',
  ),
  fc.stringMatching(/^[\w%.~+-]{0,30}$/),
)
const name = fc.constantFrom(
  'tailLines',
  'limitBytes',
  'sinceSeconds',
  'sinceTime',
  'follow',
  'stream',
  'command',
  'cmd',
  'port',
  'input',
  'output',
  'error',
  'tty',
  'verbose',
  'exclude',
  '__proto__',
)
const query = fc
  .array(fc.tuple(name, value), { maxLength: 6 })
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`))
const method = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('GET', 'POST') },
  fc.constantFrom(
    'HEAD',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'CONNECT',
    'PROPFIND',
    'get',
    'X',
    'G\tT',
  ),
)
const version = fc.oneof(
  { weight: 12, arbitrary: fc.constant('HTTP/1.1') },
  fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/9.9', 'ICY', ''),
)

// A token of a ServiceAccount that ended in 2001; the signature is nobody's.
const expired = `${base64({ alg: 'RS256' })}.${base64({ exp: 1_000_000_000, sub: 'system:serviceaccount:shop:web' })}.c2ln`

function base64(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

const credential = fc.oneof(
  { weight: 3, arbitrary: fc.constant('Authorization: Bearer good') },
  { weight: 2, arbitrary: fc.constant('') },
  fc.stringMatching(/^[\w.-]{1,200}$/).map((token) => `Authorization: Bearer ${token}`),
  fc.constant(`Authorization: Bearer ${expired}`),
  fc.constantFrom(
    'Authorization: Basic YTpi',
    'Authorization: Bearer',
    'Authorization: bearer a b',
    'Authorization:',
  ),
)
const header = fc.oneof(
  fc
    .tuple(fc.stringMatching(/^[A-Za-z-]{1,20}$/), fc.stringMatching(/^[ -~]{0,60}$/))
    .map((pair) => pair.join(': ')),
  fc.constantFrom(
    'Host: another',
    'Expect: 100-continue',
    'Expect: the worst',
    'Connection: close',
    'Connection: keep-alive, Upgrade',
    'Transfer-Encoding: gzip',
    'Content-Length: -1',
    'Content-Length: 5',
    'X-Forwarded-For: 127.0.0.1',
    'X-Remote-User: system:admin',
    'X-Remote-Group: system:masters',
    ' folded',
    'no colon',
    '\0: \0',
  ),
)
const headers = fc.array(header, { maxLength: 5 })

const upgrade = fc
  .tuple(
    fc.constantFrom('websocket', 'SPDY/3.1', 'h2c', 'TLS/1.0', '\u00ff', ''),
    fc.constantFrom('v5.channel.k8s.io', 'v4.base64.channel.k8s.io', 'v0.none', ',,,', '', 'x'.repeat(5000)),
    fc.constantFrom('dGhlIHNhbXBsZSBub25jZQ==', '', 'short'),
    fc.constantFrom('13', '8', '-1', 'x'),
  )
  .map(([protocol, sub, key, number]) => [
    'Connection: Upgrade',
    `Upgrade: ${protocol}`,
    `Sec-WebSocket-Protocol: ${sub}`,
    `Sec-WebSocket-Key: ${key}`,
    `Sec-WebSocket-Version: ${number}`,
    `X-Stream-Protocol-Version: ${sub}`,
  ])
const body = fc.oneof(
  fc.constant({ lines: ['Content-Length: 1000000000'], bytes: 'a few' }),
  fc.constant({ lines: ['Content-Length: 3'], bytes: 'more than three' }),
  fc.constant({ lines: ['Transfer-Encoding: chunked'], bytes: 'ffffffffffffffffff\r\nx' }),
  fc.constant({ lines: ['Transfer-Encoding: chunked'], bytes: '5\r\nhello\r\n' }),
  fc.constant({
    lines: ['Transfer-Encoding: chunked', 'Content-Length: 5'],
    bytes: '0\r\n\r\nGET /pods HTTP/1.1\r\n\r\n',
  }),
)

interface Start {
  readonly method: string
  readonly target: string
  readonly query: string
  readonly version: string
}

const start: fc.Arbitrary<Start> = fc.record({ method, target, query, version })

function request(line: Start, lines: readonly string[], after = ''): Buffer {
  const head = [
    `${line.method} ${line.target}${line.query} ${line.version}`,
    'Host: node',
    ...lines.filter(Boolean),
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${after}`, 'latin1')
}

function due(kind: HostileRequest['kind'], bytes: Buffer): HostileRequest {
  return { kind, bytes, answerDue: true }
}

/** Everything that a stranger, or somebody with a right to ask, may think of sending to a kubelet. */
export const hostileRequests: fc.Arbitrary<HostileRequest> = fc.oneof(
  fc
    .uint8Array({ maxLength: 300 })
    .map((bytes): HostileRequest => ({ kind: 'bytes', bytes: Buffer.from(bytes), answerDue: false })),
  fc
    .tuple(start, credential, headers, fc.nat({ max: 400 }))
    .map(([line, who, lines, cut]): HostileRequest => ({
      kind: 'cut off',
      bytes: request(line, [who, ...lines]).subarray(0, cut),
      answerDue: false,
    })),
  {
    weight: 5,
    arbitrary: fc
      .tuple(start, credential, headers)
      .map(([line, who, lines]) => due('plain', request(line, [who, ...lines]))),
  },
  fc
    .tuple(start, credential, fc.constantFrom(100, 3000), fc.constantFrom(1, 500))
    .map(([line, who, count, length]) =>
      due(
        'header flood',
        request(line, [
          who,
          ...Array.from({ length: count }, (_, index) => `X-${index}: ${'y'.repeat(length)}`),
        ]),
      ),
    ),
  fc
    .tuple(start, credential, fc.constantFrom(5_000, 100_000, 1_200_000))
    .map(([line, who, length]) =>
      due('long query', request({ ...line, query: `?command=${'%41'.repeat(length / 3)}` }, [who])),
    ),
  {
    weight: 2,
    arbitrary: fc
      .tuple(start, credential, body)
      .map(([line, who, { lines, bytes }]) => due('body', request(line, [who, ...lines], bytes))),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(start, credential, headers, upgrade, fc.constantFrom('', '\0\0\0\u0001', 'frames'))
      .map(([line, who, lines, asked, early]) =>
        due('upgrade', request(line, [who, ...lines, ...asked], early)),
      ),
  },
  fc
    .tuple(start, credential, fc.integer({ min: 2, max: 40 }))
    .map(([line, who, times]) =>
      due('pipelined', Buffer.concat(Array.from({ length: times }, () => request(line, [who])))),
    ),
)
