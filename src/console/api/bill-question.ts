import { Type, type Static } from 'typebox'
import type { BillFilter, BillGrouping, BillQuery, FocusQuery } from './contract.ts'

const grouping = '(namespace|workload|pod|pool|day|label:[^,]+)'
const several = Type.Optional(Type.Array(Type.String({ minLength: 1 })))

const text = Type.String({ minLength: 1 })
const selection = {
  fromMs: Type.Integer(),
  toMs: Type.Integer(),
  namespace: several,
  pool: several,
  workload: several,
  label: several,
}

/** A bill, as it is asked for in a URL: `by` is joined by commas, filters may be repeated. */
export const billQuestionSchema = Type.Object(
  {
    ...selection,
    by: Type.String({ pattern: `^${grouping}(,${grouping})*$` }),
    pod: Type.Optional(text),
    explain: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

export type BillQuestion = Static<typeof billQuestionSchema>

export const focusQuestionSchema = Type.Object(
  {
    ...selection,
    version: Type.Union([Type.Literal('1.2'), Type.Literal('1.4')]),
    operator: text,
    host: text,
    accountName: Type.Optional(text),
  },
  { additionalProperties: false },
)

export type FocusQuestion = Static<typeof focusQuestionSchema>

/** The question has passed the schema. */
export function billQuery(question: BillQuestion): BillQuery {
  const { fromMs, toMs, by, pod, explain } = question
  return {
    fromMs,
    toMs,
    by: by.split(',') as BillGrouping[],
    filter: { ...filterOf(question), ...(pod !== undefined && { pod }) },
    ...(explain !== undefined && { explain }),
  }
}

/** The question has passed the schema. */
export function focusQuery(question: FocusQuestion): FocusQuery {
  const { fromMs, toMs, version, operator, host, accountName } = question
  return { fromMs, toMs, version, filter: filterOf(question), parties: { operator, host, accountName } }
}

function filterOf({ namespace, pool, workload, label }: BillQuestion | FocusQuestion): BillFilter {
  return { namespaces: namespace ?? [], pools: pool ?? [], workloads: workload ?? [], labels: label ?? [] }
}
