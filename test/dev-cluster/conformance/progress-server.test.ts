import { describe, expect, it } from 'vitest'
import { openProgressServer, readProgress } from '../../../src/dev-cluster/conformance/progress-server.ts'

describe('e2e.test’s progress messages', () => {
  it('name a test that has passed or failed', () => {
    const body = JSON.stringify({ msg: 'FAILED [sig-node] Pods  should run', total: 0, failed: 1 })
    expect(readProgress(body)).toEqual({ outcome: 'failed', name: '[sig-node] Pods should run' })
  })

  it('may be about the suite', () => {
    expect(readProgress('{"msg":"Test Suite starting","total":5}')).toBeUndefined()
    expect(readProgress('{"msg":""}')).toBeUndefined()
  })

  it('are taken on loopback as they come', async () => {
    const told: string[] = []
    await using server = await openProgressServer((outcome, name) => told.push(`${outcome} ${name}`))
    for (const msg of ['', 'PASSED a', 'FAILED b']) {
      const answer = await fetch(server.url, { method: 'POST', body: JSON.stringify({ msg }) })
      expect(answer.status).toBe(200)
      await answer.text()
    }
    expect(told).toEqual(['passed a', 'failed b'])
  })
})
