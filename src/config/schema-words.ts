import { Type } from 'typebox'

/** Kinds of text that several schemas ask for. */
export const text = (description: string) => Type.String({ minLength: 1, description })

export const quantity = (description: string) =>
  Type.Union(
    [
      Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$', maxLength: 32 }),
      Type.Number({ minimum: 0 }),
    ],
    {
      description,
    },
  )

export const objectName = (description: string) =>
  Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$', description })

/** As the API server checks label keys, but for the length of each part. */
export const labelKeyPattern =
  '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'

export const labelValuePattern = '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'
