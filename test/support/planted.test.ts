import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { formsOf, plant, plantedIn } from './planted.ts'

const secret = plant('secret')
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const { value } = secret

it.each([
  ['as it is', value],
  ['in JSON', JSON.stringify({ password: value })],
  ['in a URL', encodeURIComponent(`a b&${value}`)],
  ['in a URL, each letter of it', value.replaceAll(/./g, (one) => `%${one.charCodeAt(0).toString(16)}`)],
  ['in hexadecimal', Buffer.from(`x${value}`).toString('hex')],
  ['in a header', `Basic ${base64(`admin:${value}`)}`],
  ['in a token', Buffer.from(`{"password":"${value}"}`).toString('base64url')],
  ['in a login in a Secret', base64(JSON.stringify({ auths: { r: { auth: base64(`me:${value}`) } } }))],
])('a secret is found %s', (_where, text) => {
  expect(plantedIn(`before ${text} after`, [secret, plant('another')])).toEqual(['secret'])
})

it('a secret is found in base64, whatever stands before and after it', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (before, after) => {
      const once = base64(`${before}${value}${after}`)
      return [once, base64(`${after}${once}${before}`)].every(
        (text) => plantedIn(text, [secret]).length === 1,
      )
    }),
  )
})

it('a secret is not found where there is another', () => {
  expect(plantedIn(formsOf(plant('another').value).join(' '), [secret])).toEqual([])
})

it('no form of a secret is so short that it may stand for something else', () => {
  expect(Math.min(...formsOf(value).map(({ length }) => length))).toBeGreaterThan(30)
})
