import { describe, expect, it } from 'vitest'
import { criOptionProblems } from '../../../../src/backends/cri/config.ts'
import { leastOf } from '../../../../src/backends/cri/resources/thresholds.ts'

const required = { socket: '/run/c.sock', stateDir: '/state', cgroupParent: '/spillway/pods' }

describe('what has to be left', () => {
  it('is an amount, or a share of the whole', () => {
    expect(leastOf('1Gi', 5n)).toBe(1n << 30n)
    expect(leastOf('300', 5n)).toBe(300n)
    expect(leastOf('10%', 1000n)).toBe(100n)
    expect(leastOf('2.5%', 1000n)).toBe(25n)
    expect(leastOf('0%', 1000n)).toBe(0n)
  })

  it('is configured by kubelet’s names, and nothing else', () => {
    const problems = (evictionHard: object) => criOptionProblems({ ...required, evictionHard }, 'options')
    expect(problems({ 'nodefs.available': '1Gi', 'pid.available': '3%' })).toEqual([])
    expect(problems({ 'nodefs.available': 'much' }).join()).toMatch(/nodefs\.available.*much/)
    expect(problems({ 'swap.available': '1Gi' }).join()).toMatch(/swap\.available/)
  })

  it('is not more for the removal of images than what starts it', () => {
    const imageGc = { highThresholdPercent: 50 }
    expect(criOptionProblems({ ...required, imageGc }, 'options')).toEqual([
      'options.imageGc.lowThresholdPercent: found 80; allowed: at most highThresholdPercent, which is 50',
    ])
  })
})
