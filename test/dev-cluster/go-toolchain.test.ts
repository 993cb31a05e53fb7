import { describe, expect, it } from 'vitest'
import { goFailureSentence, noGoSentence } from '../../src/dev-cluster/go-toolchain.ts'

describe('what a machine lacks', () => {
  it('is Go', () => {
    expect(noGoSentence(undefined)).toMatch(/^Go is not installed: .* needs Go 1\.26\.6 or newer; install it/)
    expect(noGoSentence('go1.19.8 at /usr/bin/go')).toMatch(
      /^Go is too old \(go1\.19\.8 at \/usr\/bin\/go\): /,
    )
  })

  it('is a network to the module proxy', () => {
    const said =
      'go: downloading example.org/x v1.0.0\nexample.org/x@v1.0.0: Get "http://127.0.0.1:1/x.zip": dial tcp 127.0.0.1:1: connect: connection refused'
    const sentence = goFailureSentence(['build'], said, 'http://127.0.0.1:1')
    expect(sentence).toMatch(
      /^The Go module proxy \(GOPROXY=http:\/\/127\.0\.0\.1:1\) cannot be reached: check/,
    )
    expect(sentence).toContain('connect: connection refused')
  })

  it('is space in the middle of a build', () => {
    expect(goFailureSentence(['build'], 'link: write: no space left on device', 'direct')).toMatch(
      /^The disk became full while building/,
    )
  })

  it('is nothing when Go itself complains', () => {
    expect(goFailureSentence(['build', 'x/y'], 'y.go:1: syntax error', 'direct')).toBe(
      '"go build … x/y" failed. Go said:\ny.go:1: syntax error',
    )
  })
})
