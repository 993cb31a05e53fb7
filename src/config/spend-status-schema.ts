import { Type } from 'typebox'

const periodSchema = (period: string) =>
  Type.Object(
    {
      spent: Type.String({ description: 'by the ledger, so far' }),
      reserved: Type.String({ description: 'what runs, or may go, until the end of it' }),
      forecast: Type.Optional(
        Type.String({ description: 'what the whole of it costs if nothing starts and nothing ends early' }),
      ),
      cap: Type.String(),
    },
    { description: `the UTC ${period} that it is now` },
  )

/** Where caps on spend stand, in the status of whatever has some. */
export const spendStatusSchema = Type.Object(
  {
    summary: Type.String({ description: 'the cap that is nearest' }),
    currency: Type.String(),
    hour: Type.Optional(periodSchema('hour')),
    day: Type.Optional(periodSchema('day')),
    month: Type.Optional(periodSchema('month')),
  },
  { description: 'of its caps; amounts are decimals in the currency' },
)
