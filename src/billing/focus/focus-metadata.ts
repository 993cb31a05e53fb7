import { createHash } from 'node:crypto'
import { version as spillwayVersion } from '../../model/version.ts'
import { quantityPlaces } from './focus-row.ts'
import { focusColumns, type FocusColumn, type FocusVersion } from './focus-columns.ts'

export interface MetadataOptions {
  readonly version: FocusVersion
  readonly createdMs: number
  readonly fromMs: number
  readonly toMs: number
}

/** Places of the amounts: a quantity's, and as many as a price has. */
const costPlaces = quantityPlaces + 9

/** The file that FOCUS wants beside the data: which version it is, who made it, and what its columns are. */
export function focusMetadata({ version, createdMs, fromMs, toMs }: MetadataOptions): object {
  const columns = focusColumns(version).map(columnDefinition)
  const schemaId = identifierOf(JSON.stringify([version, columns]))
  const creationDate = new Date(createdMs).toISOString()
  const generator = { DataGenerator: 'Spillway' }
  const schema = {
    SchemaId: schemaId,
    FocusVersion: version,
    CreationDate: creationDate,
    DataGeneratorVersion: spillwayVersion,
    ColumnDefinition: columns,
  }
  if (version === '1.2') return { DataGenerator: generator, Schema: schema }
  const instance = { DatasetInstanceId: identifierOf('spillway cost and usage') }
  const complete = toMs <= createdMs
  return {
    DataGenerator: generator,
    DatasetInstance: [
      { ...instance, DatasetInstanceName: 'Spillway cost and usage', FocusDatasetId: 'CostAndUsage' },
    ],
    Recency: [
      {
        ...instance,
        RecencyLastUpdated: creationDate,
        DatasetInstanceLastUpdated: creationDate,
        DatasetInstanceComplete: complete,
        TimeSectors: [
          {
            TimeSectorStart: new Date(fromMs).toISOString(),
            TimeSectorEnd: new Date(toMs).toISOString(),
            TimeSectorComplete: complete,
            TimeSectorLastUpdated: creationDate,
          },
        ],
      },
    ],
    Schema: [{ ...schema, ...instance }],
  }
}

function columnDefinition({ name, type }: FocusColumn): object {
  switch (type) {
    case 'DECIMAL':
      return { ColumnName: name, DataType: type, NumericPrecision: 38, NumberScale: costPlaces }
    case 'STRING':
      return { ColumnName: name, DataType: type, StringEncoding: 'UTF-8' }
    case 'DATETIME':
    case 'JSON':
      return { ColumnName: name, DataType: type }
    default:
      return type satisfies never
  }
}

/** Of the same text always the same, in the form of a UUID, as FOCUS recommends. */
function identifierOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
