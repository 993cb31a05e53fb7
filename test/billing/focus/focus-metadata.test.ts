import { expect, test } from 'vitest'
import { focusColumns } from '../../../src/billing/focus/focus-columns.ts'
import { focusMetadata } from '../../../src/billing/focus/focus-metadata.ts'
import { fakeEpochMs as start } from '../../support/fake-clock.ts'

interface Schema {
  readonly SchemaId: string
  readonly FocusVersion: string
  readonly DatasetInstanceId?: string
  readonly ColumnDefinition: readonly { readonly ColumnName: string; readonly DataType: string }[]
}

const period = { fromMs: start, toMs: start + 86_400_000 }

test('1.2 has one schema, with the version and every column of the data in its order', () => {
  const { Schema } = focusMetadata({ version: '1.2', createdMs: start, ...period }) as { Schema: Schema }
  expect(Schema).toMatchObject({ FocusVersion: '1.2', CreationDate: '2026-01-01T00:00:00.000Z' })
  expect(Schema.ColumnDefinition.map(({ ColumnName }) => ColumnName)).toEqual(
    focusColumns('1.2').map(({ name }) => name),
  )
  expect(Schema.ColumnDefinition[0]).toMatchObject({ ColumnName: 'BilledCost', DataType: 'DECIMAL' })
})

test('1.4 says which dataset it is, and whether the period was over', () => {
  const at = (createdMs: number) =>
    focusMetadata({ version: '1.4', createdMs, ...period }) as {
      Schema: readonly Schema[]
      DatasetInstance: readonly { DatasetInstanceId: string; FocusDatasetId: string }[]
      Recency: readonly { DatasetInstanceComplete: boolean; TimeSectors: readonly object[] }[]
    }
  const { Schema, DatasetInstance, Recency } = at(start + 1)
  expect(Schema[0]?.FocusVersion).toBe('1.4')
  expect(DatasetInstance).toMatchObject([
    { DatasetInstanceId: Schema[0]?.DatasetInstanceId, FocusDatasetId: 'CostAndUsage' },
  ])
  expect(Recency[0]).toMatchObject({
    DatasetInstanceComplete: false,
    TimeSectors: [{ TimeSectorEnd: '2026-01-02T00:00:00.000Z', TimeSectorComplete: false }],
  })
  expect(at(period.toMs).Recency[0]?.DatasetInstanceComplete).toBe(true)
})

test('a schema keeps its id until its columns change', () => {
  const idOf = (version: '1.2', createdMs: number): string =>
    (focusMetadata({ version, createdMs, ...period }) as { Schema: Schema }).Schema.SchemaId
  expect(idOf('1.2', start)).toBe(idOf('1.2', start + 5))
  expect(idOf('1.2', start)).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
})
