import { describe, expect, it } from 'vitest'
import {
  exactly,
  nodeConformance,
  selectionFlags,
  selectionKey,
} from '../../../src/dev-cluster/conformance/selection.ts'

describe('a selection of tests', () => {
  it('becomes flags, each pattern its own', () => {
    expect(selectionFlags(nodeConformance, 'ginkgo.')).toEqual([
      '--ginkgo.focus=\\[NodeConformance\\]',
      '--ginkgo.skip=\\[Serial\\]',
      '--ginkgo.skip=\\[Disruptive\\]',
      '--ginkgo.skip=\\[Slow\\]',
      '--ginkgo.skip=\\[Flaky\\]',
    ])
  })

  it('has a key that differs when a pattern moves from focus to skip', () => {
    expect(selectionKey(nodeConformance)).toMatch(/^[0-9a-f]{8}$/)
    expect(selectionKey({ focus: ['a'], skip: [] })).not.toBe(selectionKey({ focus: [], skip: ['a'] }))
  })

  it('of given names takes every character as itself, up to the end of the name', () => {
    const name = '[sig-node] Pods should support "exec" (5.0 s?) a+b*c {x|y} ^$ \\ [NodeConformance]'
    const [pattern = ''] = exactly([name]).focus
    const matches = (text: string): boolean => new RegExp(pattern).test(`Kubernetes e2e suite ${text}`)
    expect(matches(name)).toBe(true)
    expect(matches(`${name} [Conformance]`)).toBe(false)
    expect(matches(name.replace('5.0', '5x0'))).toBe(false)
  })
})
