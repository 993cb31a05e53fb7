import { describe, expect, it } from 'vitest'
import { checkLedger, compileLedger } from '../../src/config/ledger.ts'

describe('where the ledger is kept', () => {
  it('is a file beside the rest of the state, or where the configuration says', () => {
    expect(compileLedger(undefined, '/state')).toEqual({ kind: 'sqlite', file: '/state/ledger.db' })
    expect(compileLedger({ file: '/disk/l.db' }, '/state')).toEqual({ kind: 'sqlite', file: '/disk/l.db' })
  })

  it('is PostgreSQL when that is configured', () => {
    const postgres = { url: 'postgresql://me@h/d?schema=a', passwordFile: '/secret' }
    expect(compileLedger({ postgres }, '/state')).toEqual({ kind: 'postgres', ...postgres })
    expect(checkLedger({ postgres })).toEqual([])
  })

  it('is one of the two, with a URL that holds no secret', () => {
    const problems = checkLedger({ file: '/a.db', postgres: { url: 'postgresql://me:geheim@h/d' } })
    expect(problems).toEqual([
      'ledger: found file and postgres; allowed: one of them',
      expect.stringMatching(/^ledger\.postgres\.url: .*holds a password/),
    ])
    expect(problems.join()).not.toContain('geheim')
  })
})
