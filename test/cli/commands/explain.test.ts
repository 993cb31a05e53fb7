import { expect, it } from 'vitest'
import { formatExplanation } from '../../../src/cli/commands/explain.ts'
import type { ExplainView } from '../../../src/console/api/contract.ts'

const view: ExplainView = {
  namespace: 'shop',
  name: 'web-…',
  overflow: true,
  outcome: 'virtual',
  because: 'no server has room (1 lacks cpu)',
  pool: 'burst',
  nodes: ['burst-0', 'burst-1'],
  rules: [
    { rule: 'eligible', passes: true, evidence: 'nothing keeps it in' },
    { rule: 'servers', passes: true, evidence: 'no server has room (1 lacks cpu)' },
    { rule: 'pool burst', passes: true, evidence: '2 have room' },
  ],
  says: [
    { node: 'server-0', pool: undefined, answer: 'lacks cpu' },
    { node: 'burst-0', pool: 'burst', answer: 'has room' },
  ],
  foreign: [],
  leaves: 'nobody scales it: it stays until it ends or is deleted',
  movesBack: undefined,
  prices: [
    {
      pool: 'burst',
      priceBook: 'tencent',
      currency: 'USD',
      steps: ['asked for: 4 cores, 33 GiB', 'smallest size that holds it: 12 cores, 33 GiB'],
      size: {
        spec: '12 cores, 33 GiB',
        perSecond: '0.000128121',
        perHour: '0.4612356',
        unusedPercent: { cpu: 66, memory: 0 },
      },
      error: undefined,
      cheaper: {
        change: 'ask for 32 GiB in place of 33 GiB',
        size: {
          spec: '4 cores, 32 GiB',
          perSecond: '0.00008624',
          perHour: '0.310464',
          unusedPercent: { cpu: 0, memory: 0 },
        },
        savedPercent: 33,
      },
    },
    {
      pool: 'spare',
      priceBook: 'small',
      currency: 'USD',
      steps: ['asked for: 4 cores, 33 GiB'],
      size: undefined,
      error: 'more than the largest size',
      cheaper: undefined,
    },
  ],
}

it('reads from the answer to its reasons to its price', () => {
  expect(formatExplanation(view))
    .toBe(`Pod shop/web-…: goes to a virtual node (pool burst, likely burst-0 or burst-1)
  no server has room (1 lacks cpu)

RULE        PASSES  EVIDENCE
eligible    yes     nothing keeps it in
servers     yes     no server has room (1 lacks cpu)
pool burst  yes     2 have room

NODE      POOL      SAYS
server-0  (server)  lacks cpu
burst-0   burst     has room

POOL   PRICE BOOK  SIZE                              UNUSED         PER SECOND       PER HOUR
burst  tencent     12 cores, 33 GiB                  cpu 66 %  0.000128121 USD  0.4612356 USD
spare  small       none: more than the largest size

pool burst:
  asked for: 4 cores, 33 GiB
  smallest size that holds it: 12 cores, 33 GiB
  cheaper: ask for 32 GiB in place of 33 GiB: 4 cores, 32 GiB for 0.310464 USD an hour, 33 % less
pool spare:
  asked for: 4 cores, 33 GiB

When scaled in: nobody scales it: it stays until it ends or is deleted
`)
})

it('tells what became of other products’ words, where there are any', () => {
  const word = 'annotation eks.tke.cloud.tencent.com/spot-pod=true'
  const line = {
    product: 'Tencent TKE',
    word,
    becomes: 'lost',
    says: 'nothing is sold at a spot price',
  } as const
  expect(formatExplanation({ ...view, foreign: [line] })).toContain(`
WRITTEN FOR  WORD                                                BECOMES  SAYS
Tencent TKE  annotation eks.tke.cloud.tencent.com/spot-pod=true  lost     nothing is sold at a spot price
`)
})

it('says that nobody lets it out while overflow is turned off', () => {
  expect(formatExplanation({ ...view, overflow: false })).toContain('but overflow is turned off')
})

it('says what the API server will drop', () => {
  expect(formatExplanation({ ...view, dropped: ['spec.resources'] })).toContain(
    '\n  without spec.resources, which this API server is too old to keep\n',
  )
})

it('says what its sandbox would be made by in each pool', () => {
  const sandboxes = [
    { pool: 'burst', says: 'runsc (gVisor: each Pod has a kernel of its own)' },
    { pool: 'spare', says: 'none: nothing says what sandboxes are made by' },
  ]
  expect(formatExplanation({ ...view, sandboxes })).toContain(`
POOL   SANDBOX
burst  runsc (gVisor: each Pod has a kernel of its own)
spare  none: nothing says what sandboxes are made by
`)
})
