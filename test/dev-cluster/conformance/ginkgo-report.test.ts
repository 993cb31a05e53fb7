import { describe, expect, it } from 'vitest'
import { firstLine, readGinkgoReport } from '../../../src/dev-cluster/conformance/ginkgo-report.ts'

const probing = { ContainerHierarchyTexts: ['[sig-node] Probing container', ''], LeafNodeType: 'It' }
const specs = [
  { LeafNodeType: 'SynchronizedBeforeSuite', LeafNodeText: '', State: 'passed' },
  { ...probing, LeafNodeText: 'restarts', State: 'passed', RunTime: 12_345_678_901 },
  { ...probing, LeafNodeText: 'waits', State: 'failed', RunTime: 1e9, Failure: { Message: 'no\nyes' } },
  {
    ...probing,
    LeafNodeText: 'dies',
    State: 'panicked',
    Failure: { Message: 'panic', ForwardedPanic: 'nil' },
  },
  { ...probing, LeafNodeText: 'hangs', State: 'timedout', Failure: { Message: 'too long' } },
  { ...probing, LeafNodeText: 'is for Windows', State: 'skipped', Failure: { Message: 'only on Windows' } },
  { ...probing, LeafNodeText: 'is filtered out', State: 'skipped' },
  { ...probing, LeafNodeText: 'is cut short', State: 'interrupted', Failure: { Message: 'interrupted' } },
]
const report = (extra: object = {}): string => JSON.stringify([{ SpecReports: specs, ...extra }])

describe('ginkgo’s report', () => {
  it('is read as the tests that came to an end, with their group, time and reason', () => {
    const { tests, problems } = readGinkgoReport(report())
    const group = '[sig-node] Probing container'
    expect(tests).toEqual([
      { name: `${group} restarts`, group, outcome: 'passed', durationMs: 12_346 },
      { name: `${group} waits`, group, outcome: 'failed', durationMs: 1000, message: 'no\nyes' },
      { name: `${group} dies`, group, outcome: 'failed', durationMs: 0, message: 'panic: nil' },
      { name: `${group} hangs`, group, outcome: 'failed', durationMs: 0, message: 'too long' },
      {
        name: `${group} is for Windows`,
        group,
        outcome: 'skipped',
        durationMs: 0,
        message: 'only on Windows',
      },
    ])
    expect(problems).toEqual([])
  })

  it('tells what went wrong outside of tests', () => {
    const setUp = {
      LeafNodeType: 'SynchronizedBeforeSuite',
      LeafNodeText: '',
      State: 'failed',
      Failure: { Message: 'no node is ready\nat all' },
    }
    const broken = { SpecReports: [setUp], SpecialSuiteFailureReasons: ['Suite Timeout Elapsed'] }
    expect(readGinkgoReport(JSON.stringify([broken])).problems).toEqual([
      'Suite Timeout Elapsed',
      'SynchronizedBeforeSuite: no node is ready',
    ])
  })

  it('may lack what Go leaves empty', () => {
    expect(readGinkgoReport('[{"SpecReports":null,"SpecialSuiteFailureReasons":null}]')).toEqual({
      tests: [],
      problems: [],
    })
  })
})

describe('the first line of a failure', () => {
  it('is the first that says something', () => {
    expect(firstLine('\n  expected pod "a"\nto be "b"')).toBe('expected pod "a"')
  })

  it('of a wait in vain also says what was waited for', () => {
    expect(firstLine('Timed out after 300.001s.\nExpected Pod to be Running\nmore')).toBe(
      'Timed out after 300.001s. Expected Pod to be Running',
    )
  })
})
