import { describe, expect, it } from 'vitest'
import { withMachineLock } from '../../src/dev-cluster/machine-lock.ts'
import { systemClock as clock } from '../../src/model/clock.ts'

const never = new AbortController().signal

describe('a lock of the machine', () => {
  const name = `test-${process.pid}`

  it('keeps a second one out while the first works, and lets it in afterwards', async () => {
    const outer = await withMachineLock(
      name,
      { patienceMs: 0, clock },
      () => withMachineLock(name, { patienceMs: 0, clock }, () => Promise.resolve('inside'), never),
      never,
    )
    expect(outer).toEqual({ result: undefined })
    const later = await withMachineLock(name, { patienceMs: 0, clock }, () => Promise.resolve('later'), never)
    expect(later).toEqual({ result: 'later' })
  })

  it('is free again when the work failed', async () => {
    const failing = withMachineLock(
      name,
      { patienceMs: 0, clock },
      () => Promise.reject(new Error('no')),
      never,
    )
    await expect(failing).rejects.toThrow('no')
    const later = await withMachineLock(name, { patienceMs: 0, clock }, () => Promise.resolve('later'), never)
    expect(later).toEqual({ result: 'later' })
  })
})
