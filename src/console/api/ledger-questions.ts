import { Type } from 'typebox'

export const sealQuestionSchema = Type.Object(
  {
    fromMs: Type.Optional(Type.Integer()),
    toMs: Type.Integer(),
    acceptUncertain: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

export const adjustQuestionSchema = Type.Object(
  {
    pod: Type.Optional(Type.String({ minLength: 1 })),
    namespace: Type.Optional(Type.String({ minLength: 1 })),
    amount: Type.String(),
    currency: Type.Optional(Type.String()),
    reason: Type.String(),
    author: Type.String(),
    id: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    atMs: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
)
