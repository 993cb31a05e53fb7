import { Type, type Static } from 'typebox'

/** Up to 999,999,999,999 with nine decimal places: nano-units then fit the ledger's integers many times over. */
const amountPattern = '^[0-9]{1,12}(\\.[0-9]{1,9})?$'

const amount = (description: string) => Type.String({ pattern: amountPattern, maxLength: 22, description })

/** What may be spent, as a burst policy, a pool and a namespace say it alike. */
export const spendCapsSchema = (description: string) =>
  Type.Object(
    {
      currency: Type.String({
        pattern: '^[A-Z]{3}$',
        maxLength: 3,
        description: 'ISO 4217, as in USD; pools whose price book has another one are passed over',
      }),
      perHour: Type.Optional(amount('most that is spent in a UTC hour, as a decimal in quotes: "1.50"')),
      perDay: Type.Optional(amount('most that is spent in a UTC day')),
      perMonth: Type.Optional(amount('most that is spent in a UTC month')),
      warnAtPercent: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 100,
          description: 'share of a cap at which people are warned, in percent (80)',
        }),
      ),
      atCap: Type.Optional(
        Type.Union([Type.Literal('StopNew'), Type.Literal('Stop')], {
          description:
            'what happens once a cap is spent: nothing new starts (StopNew, the default), or what runs is evicted, too (Stop)',
        }),
      ),
    },
    {
      additionalProperties: false,
      description,
      'x-kubernetes-validations': [
        {
          rule: 'has(self.perHour) || has(self.perDay) || has(self.perMonth)',
          message: 'found no cap; allowed: at least one of perHour, perDay and perMonth',
        },
      ],
    },
  )

export type RawSpendCaps = Static<ReturnType<typeof spendCapsSchema>>
