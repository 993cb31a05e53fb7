import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ProgressServer extends AsyncDisposable {
  /** For e2e.test's `--progress-report-url`. */
  readonly url: string
}

/**
 * Listens on loopback for what e2e.test tells after each test: ginkgo's own report comes only at the end of all, too
 * late for people who wait and for what has to survive an interruption.
 */
export async function openProgressServer(
  onTest: (outcome: 'passed' | 'failed', name: string) => void,
): Promise<ProgressServer> {
  const server = createServer((request, response) => {
    let body = ''
    request
      .setEncoding('utf8')
      .on('data', (text: string) => {
        body += text
      })
      .on('end', () => {
        const told = readProgress(body)
        if (told !== undefined) onTest(told.outcome, told.name)
        response.end()
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/**
 * A message of upstream's ProgressReporter (test/e2e/reporters/progress.go). Each of several processes counts for itself
 * only, so that nothing but the name in `msg` can be used. Undefined for messages about the whole suite.
 */
export function readProgress(
  body: string,
): { readonly outcome: 'passed' | 'failed'; readonly name: string } | undefined {
  const { msg = '' } = JSON.parse(body) as { readonly msg?: string }
  const match = /^(PASSED|FAILED) (.+)$/s.exec(msg)
  if (match === null) return undefined
  return { outcome: match[1] === 'PASSED' ? 'passed' : 'failed', name: sameSpacing(match[2] ?? '') }
}

/** Containers without a text leave two spaces in the names of these messages, and one in those of the report. */
export function sameSpacing(name: string): string {
  return name.trim().replace(/\s+/g, ' ')
}
