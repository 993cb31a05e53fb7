import { describe, expect, it } from 'vitest'
import {
  mayUse,
  withAccess,
  type ImageAccess,
  type PullRecord,
  type PullSecret,
} from '../../../../src/backends/cri/images/image-access.ts'

const secret = (name: string, hash: string): PullSecret => ({
  uid: `uid-${name}`,
  namespace: 'shop',
  name,
  hash,
})
const by = (...secrets: readonly PullSecret[]): ImageAccess => ({ kind: 'secrets', secrets })
const everyone: ImageAccess = { kind: 'everyone' }

describe('an image that was pulled', () => {
  it('without a login is for every Pod', () => {
    expect(mayUse(everyone, [])).toEqual({ allowed: true })
  })

  it('with a login is for those who bring the same one', () => {
    const access = by(secret('a', 'right'))
    expect(mayUse(access, [])).toEqual({ allowed: false })
    expect(mayUse(access, [secret('b', 'wrong')])).toEqual({ allowed: false })
    expect(mayUse(access, [secret('b', 'wrong'), secret('a', 'right')])).toEqual({ allowed: true })
  })

  it('is for those who bring the same login in another Secret, which is then known', () => {
    const other = secret('b', 'right')
    expect(mayUse(by(secret('a', 'right')), [other])).toEqual({ allowed: true, learned: other })
  })

  it('is for those who bring the same Secret with a new login, which is then known', () => {
    const renewed = secret('a', 'new')
    expect(mayUse(by(secret('a', 'right')), [renewed])).toEqual({ allowed: true, learned: renewed })
  })

  it('is for nobody when nobody knows how it came', () => {
    expect(mayUse(undefined, [secret('a', 'right')])).toEqual({ allowed: false })
    expect(mayUse(by(), [secret('a', 'right')])).toEqual({ allowed: false })
  })

  it('learns no more Secrets than a record can hold', () => {
    const many = Array.from({ length: 100 }, (_, index) => secret(`s${index}`, 'right'))
    expect(mayUse(by(...many), [secret('one-more', 'right')])).toEqual({ allowed: true })
  })
})

describe('its record', () => {
  const record: PullRecord = { imageId: 'sha256:1', access: { 'r.example/app': by(secret('a', 'old')) } }

  it('keeps the names of one image apart', () => {
    const both = withAccess(record, 'mirror.example/app', everyone)
    expect(both.access['r.example/app']).toEqual(by(secret('a', 'old')))
    expect(both.access['mirror.example/app']).toEqual(everyone)
  })

  it('gathers Secrets, and of one Secret the newest login', () => {
    const more = withAccess(record, 'r.example/app', by(secret('b', 'other')))
    expect(more.access['r.example/app']).toEqual(by(secret('a', 'old'), secret('b', 'other')))
    const renewed = withAccess(more, 'r.example/app', by(secret('a', 'new')))
    expect(renewed.access['r.example/app']).toEqual(by(secret('b', 'other'), secret('a', 'new')))
  })

  it('is for everyone once it came without a login, for good', () => {
    const open = withAccess(record, 'r.example/app', everyone)
    expect(open.access['r.example/app']).toEqual(everyone)
    expect(withAccess(open, 'r.example/app', by(secret('a', 'old')))).toBe(open)
  })

  it('stays the same object when there is nothing new', () => {
    expect(withAccess(record, 'r.example/app', by(secret('a', 'old')))).toBe(record)
  })
})
