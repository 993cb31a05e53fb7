import { describe, expect, it } from 'vitest'
import { findVersion, isAtLeast, isSameMinor } from '../../src/dev-cluster/version.ts'

describe('a version in what a program prints', () => {
  it.each([
    ['Kubernetes v1.37.2', [1, 37, 2]],
    ['Client Version: v1.37.2\nKustomize Version: v5.8.1', [1, 37, 2]],
    ['etcd Version: 3.7.3\nGit SHA: 1234567', [3, 7, 3]],
    ['containerd github.com/containerd/containerd/v2 2.4.2+unknown ', [2, 4, 2]],
    ['registry github.com/distribution/distribution/v3 v3.1.2', [3, 1, 2]],
    ['CoreDNS-1.15.0\nlinux/amd64, go1.26.8, ', [1, 15, 0]],
    ['runc version 1.1.5+ds1\nspec: 1.0.2-dev', [1, 1, 5]],
    ['go1.26', [1, 26, 0]],
  ])('is found in %j', (text, version) => {
    expect(findVersion(text)).toEqual(version)
  })

  it('is not found where there is none', () => {
    expect(findVersion('app version development')).toBeUndefined()
  })
})

describe('a program on the machine', () => {
  it('is taken when only its patch version differs', () => {
    expect(isSameMinor([1, 37, 0], [1, 37, 2])).toBe(true)
  })

  it('is passed over when its minor version differs, or it has none', () => {
    expect(isSameMinor([1, 20, 2], [1, 37, 2])).toBe(false)
    expect(isSameMinor([2, 37, 2], [1, 37, 2])).toBe(false)
    expect(isSameMinor(undefined, [1, 37, 2])).toBe(false)
  })
})

describe('a minimum', () => {
  it.each([
    [[1, 26, 6], true],
    [[1, 26, 8], true],
    [[1, 27, 0], true],
    [[2, 0, 0], true],
    [[1, 26, 5], false],
    [[1, 19, 8], false],
    [undefined, false],
  ] as const)('of 1.26.6 against %j is %s', (found, fits) => {
    expect(isAtLeast(found, [1, 26, 6])).toBe(fits)
  })
})
