import { expect, test } from 'vitest'
import { priceAnnotations } from '../../src/pods/price-annotations.ts'

const tags = { spec: '2 cores, 4 GiB', pricePerHour: '0.0512 USD', cost: undefined }
const written = { 'spillway.dev/spec': '2 cores, 4 GiB', 'spillway.dev/price-per-hour': '0.0512 USD' }

test('what is the same is not written again, and what is not known takes nothing away', () => {
  expect(priceAnnotations(undefined, tags)).toEqual(written)
  expect(priceAnnotations({ ...written, app: 'web' }, tags)).toBeUndefined()
  expect(priceAnnotations(written, undefined)).toBeUndefined()
})

test('what has changed is, and what somebody else wrote under our prefix is replaced', () => {
  expect(priceAnnotations({ ...written, 'spillway.dev/spec': 'mine' }, tags)).toEqual({
    'spillway.dev/spec': '2 cores, 4 GiB',
  })
  expect(priceAnnotations(written, { ...tags, cost: '0.01 USD' })).toEqual({
    'spillway.dev/cost': '0.01 USD',
  })
})
