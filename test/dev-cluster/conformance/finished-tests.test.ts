import { describe, expect, it } from 'vitest'
import { FinishedTests } from '../../../src/dev-cluster/conformance/finished-tests.ts'

const names = ['[sig-node] Pods should run [NodeConformance]', '[sig-node] Pods should stop', 'other']
const rule = '------------------------------'
const labels = '[sig-node, NodeConformance, Conformance]'

function finished(pieces: readonly string[]): readonly string[] {
  const told: string[] = []
  const tests = new FinishedTests(names, (outcome, name) => told.push(`${outcome}: ${name}`))
  for (const piece of pieces) tests.write(piece)
  return told
}

describe('ginkgo’s output', () => {
  it('names each test that has passed', () => {
    const output = `${rule}\n• [0.247 seconds]\n${names[0]} ${labels}\nk8s.io/pods.go:162\n\n  Timeline >>\n`
    expect(finished([output])).toEqual([`passed: ${names[0]}`])
  })

  it('names each test that has failed, whatever way', () => {
    for (const mark of ['FAILED', 'PANICKED!', 'TIMEDOUT']) {
      const output = `${rule}\n• [${mark}] [120.1 seconds]\n[sig-node] Pods  [It] should stop [sig-node]\n`
      expect(finished([output])).toEqual([`failed: ${names[1]}`])
    }
  })

  it('counts a test that has passed at the second attempt', () => {
    const output = `• [FLAKEY TEST - TOOK 2 ATTEMPTS TO PASS] [9.001 seconds]\n${names[1]} [sig-node]\n`
    expect(finished([output])).toEqual([`passed: ${names[1]}`])
  })

  it('comes in pieces of any size', () => {
    const output = `• [0.247 seconds]\n${names[0]} ${labels}\n`
    expect(finished(output.split(''))).toEqual([`passed: ${names[0]}`])
  })

  it('tells nothing of tests that are skipped or broken off, of the suite, and of what tests print', () => {
    const output = [
      `S [SKIPPED] [0.001 seconds]\n${names[1]}`,
      `• [ABORTED] [3.1 seconds]\n${names[1]}`,
      '[SynchronizedAfterSuite] PASSED [0.001 seconds]\n[SynchronizedAfterSuite] ',
      `• [1.0 seconds]\nnot the name of a test`,
      `${names[1]}`,
    ]
    expect(finished([`${output.join('\n')}\n`])).toEqual([])
  })
})
