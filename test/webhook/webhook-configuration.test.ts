import { describe, expect, it } from 'vitest'
import {
  foreignNamespaceLabels,
  purposesIn,
  webhooksFor,
  webhooksToWrite,
  type WebhookPurpose,
} from '../../src/webhook/webhook-configuration.ts'

const all = new Set<WebhookPurpose>(['placement', 'daemonsets'])
const site = { instance: 'shop', url: 'https://192.0.2.10:9443', authorities: 'PEM' }
const names = (webhooks: readonly { name: string }[] | undefined): string[] | undefined =>
  webhooks?.map(({ name }) => name)

describe('the webhooks of an instance', () => {
  it('are asked of nothing but what may change, and hold nobody up', async () => {
    const text = JSON.stringify(webhooksFor(all, site), undefined, 2)
    await expect(`${text}\n`).toMatchFileSnapshot('golden/webhooks.json')
  })

  it('ask about one word of other products’ namespaces: several labels of one selector would all have to be there', () => {
    expect(foreignNamespaceLabels).toEqual({ 'alibabacloud.com/eci': 'true' })
  })

  it('are those that no policy takes the place of', () => {
    expect(names(webhooksFor(new Set(['daemonsets']), site))).toEqual(['daemonsets.shop.spillway.dev'])
    expect(webhooksFor(new Set(), site)).toEqual([])
  })
})

describe('what is written into the configuration', () => {
  const wanted = webhooksFor(all, site)
  const others = webhooksFor(all, { ...site, instance: 'other', url: 'https://192.0.2.11:9443' })

  it('is all of it where nothing is, and nothing where all is', () => {
    expect(webhooksToWrite({}, { instance: 'shop', wanted })).toEqual(wanted)
    expect(webhooksToWrite({ webhooks: wanted }, { instance: 'shop', wanted })).toBeUndefined()
    const newer = wanted.map((one) => ({ ...one, addedLater: 'by a newer API server' }))
    expect(webhooksToWrite({ webhooks: newer }, { instance: 'shop', wanted })).toBeUndefined()
  })

  it('puts back what somebody changed or took away, and takes away what is not wanted any more', () => {
    const [first, ...rest] = wanted
    const changed = [{ ...first, name: first?.name ?? '', failurePolicy: 'Fail' }, ...rest]
    expect(webhooksToWrite({ webhooks: changed }, { instance: 'shop', wanted })).toEqual(wanted)
    expect(webhooksToWrite({ webhooks: rest }, { instance: 'shop', wanted })).toEqual(wanted)
    expect(webhooksToWrite({ webhooks: wanted }, { instance: 'shop', wanted: [] })).toEqual([])
  })

  it('leaves the webhooks of other instances alone', () => {
    expect(webhooksToWrite({ webhooks: others }, { instance: 'shop', wanted })).toEqual([
      ...others,
      ...wanted,
    ])
    const both = [...wanted, ...others]
    expect(webhooksToWrite({ webhooks: both }, { instance: 'shop', wanted })).toBeUndefined()
    expect(webhooksToWrite({ webhooks: both }, { instance: 'shop', wanted: [] })).toEqual(others)
  })
})

it('says what webhooks that stand there are for, whoever’s', () => {
  expect(purposesIn({})).toEqual(new Set())
  expect(purposesIn({ webhooks: webhooksFor(new Set(['placement']), site) })).toEqual(new Set(['placement']))
  expect(purposesIn({ webhooks: webhooksFor(all, site) })).toEqual(all)
})
