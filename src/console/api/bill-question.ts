import { Type, type Static } from 'typebox'
import type { BillGrouping, BillQuery } from './contract.ts'

const grouping = '(namespace|workload|pod|pool|day|label:[^,]+)'
const several = Type.Optional(Type.Array(Type.String({ minLength: 1 })))

/** A bill, as it is asked for in a URL: `by` is joined by commas, filters may be repeated. */
export const billQuestionSchema = Type.Object(
  {
    fromMs: Type.Integer(),
    toMs: Type.Integer(),
    by: Type.String({ pattern: `^${grouping}(,${grouping})*$` }),
    namespace: several,
    pool: several,
    workload: several,
    label: several,
    pod: Type.Optional(Type.String({ minLength: 1 })),
    explain: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

export type BillQuestion = Static<typeof billQuestionSchema>

/** The question has passed the schema. */
export function billQuery(question: BillQuestion): BillQuery {
  const { fromMs, toMs, by, namespace = [], pool = [], workload = [], label = [], pod, explain } = question
  return {
    fromMs,
    toMs,
    by: by.split(',') as BillGrouping[],
    filter: {
      namespaces: namespace,
      pools: pool,
      workloads: workload,
      labels: label,
      ...(pod !== undefined && { pod }),
    },
    ...(explain !== undefined && { explain }),
  }
}
