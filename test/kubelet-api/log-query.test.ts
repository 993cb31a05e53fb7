import { describe, expect, it } from 'vitest'
import { parseLogQuery } from '../../src/kubelet-api/log-query.ts'

describe('parseLogQuery', () => {
  const nowMs = Date.parse('2026-01-02T00:00:00Z')
  const parse = (query: string) => parseLogQuery(new URLSearchParams(query), nowMs)

  it('reads all options', () => {
    expect(parse('follow=true&tailLines=0&limitBytes=9&timestamps=1&previous=false&sinceSeconds=60')).toEqual(
      {
        ok: true,
        options: {
          follow: true,
          previous: false,
          timestamps: true,
          tailLines: 0,
          limitBytes: 9,
          sinceMs: nowMs - 60_000,
        },
      },
    )
    expect(parse('sinceTime=2026-01-01T00%3A00%3A00Z&tail=all')).toMatchObject({
      options: { sinceMs: nowMs - 86_400_000 },
    })
  })

  it('takes a flag without a value for set', () => {
    expect(parse('follow&timestamps=&previous=0')).toMatchObject({
      options: { follow: true, timestamps: true, previous: false },
    })
  })

  it('reads times with a zone and with fractions of a second, and no time as since ever', () => {
    const sinceMs = Date.parse('2026-01-01T00:00:00.250Z')
    expect(parse('sinceTime=2026-01-01T01:00:00.250%2B01:00')).toMatchObject({ options: { sinceMs } })
    expect(parse('sinceTime=')).toMatchObject({ options: { sinceMs: Date.parse('0001-01-01T00:00:00Z') } })
  })

  it('takes an empty tail for none', () => {
    expect(parse('tail=&tailLines=3')).toMatchObject({ options: { tailLines: 3 } })
  })

  it('knows of single streams, which are not to be had', () => {
    expect(parse('stream=Stdout')).toMatchObject({ ok: true, onlyStream: 'Stdout' })
    expect(parse('stream=All')).not.toHaveProperty('onlyStream')
  })

  it.each([
    ['tailLines=x', 400],
    ['tailLines=', 400],
    ['sinceTime=yesterday', 400],
    ['sinceTime=2026-01-01', 400],
    ['sinceTime=2026-01-01T00:00:00', 400],
    ['stream=stdout', 422],
    ['stream=Stdout&tailLines=1', 422],
    ['tailLines=-1', 422],
    ['limitBytes=0', 422],
    ['sinceSeconds=0', 422],
    ['sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z', 422],
  ])('answers %s with %d', (query, status) => {
    expect(parse(query)).toMatchObject({ ok: false, status })
  })
})
