import fc from 'fast-check'
import { expect, it } from 'vitest'
import { metricsText, seconds } from '../../src/kubelet-api/metrics-text.ts'

it('escapes what labels may hold', () => {
  const samples = [{ labels: { pod: 'a"b\\c\nd' }, value: '1' }]
  expect(metricsText([{ name: 'x', help: 'y', type: 'gauge', samples }])).toBe(
    '# HELP x y\n# TYPE x gauge\nx{pod="a\\"b\\\\c\\nd"} 1\n',
  )
})

it('writes nanoseconds as seconds without losing one', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 64n }), (nanos) => {
      const [whole = '', part = ''] = seconds(nanos).split('.')
      expect(part).toHaveLength(9)
      expect(BigInt(whole) * 1_000_000_000n + BigInt(part)).toBe(nanos)
    }),
  )
})
