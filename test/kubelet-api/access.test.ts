import { afterEach, beforeEach, expect, it } from 'vitest'
import { openNodeApi, type NodeApiBench } from '../support/node-api.ts'

let bench: NodeApiBench

beforeEach(async () => {
  bench = await openNodeApi()
})

afterEach(() => bench.stop())

it('a certificate that runs out is nobody’s from then on, also on a connection that began before', async () => {
  // The handshake goes by the machine's clock, to which it is valid still: as it was when a long connection began.
  const ask = () => bench.ask('/healthz', { identity: bench.client })
  await bench.clock.advance(new Date('2056-01-01').getTime() - bench.clock.wallMs())
  expect(await ask()).toMatchObject({ status: 200 })
  await bench.clock.advance(1)
  expect(await ask()).toMatchObject({ status: 401, body: 'Unauthorized' })
})

it.each(['/exec/shop/web/app', '/%65xec/shop/web/app', '/%65xec/shop/web/app%', '/run/shop/web/app'])(
  'to run something is to create, however it is spelled: %s',
  async (path) => {
    await bench.ask(path, { token: 'good' })
    expect(bench.reviews.asked.at(-1)?.spec).toMatchObject({
      resourceAttributes: { verb: 'create', subresource: 'proxy' },
    })
  },
)
