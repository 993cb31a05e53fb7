import { describe, expect, it } from 'vitest'
import { pageSizeName } from '../../../../src/backends/cri/resources/page-size-name.ts'

describe('sizes of huge pages', () => {
  it('are called as the kernel calls them', () => {
    expect([64n << 10n, 2n << 20n, 1n << 30n].map(pageSizeName)).toEqual(['64KB', '2MB', '1GB'])
  })
})
