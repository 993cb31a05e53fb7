import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { structuralSchema } from '../../src/config/structural-schema.ts'

describe('a schema in the words of a CustomResourceDefinition', () => {
  test('closed objects lose only that they are closed', () => {
    const schema = Type.Object(
      { size: Type.Integer({ minimum: 1 }), note: Type.Optional(Type.String({ maxLength: 5 })) },
      { additionalProperties: false, description: 'a thing' },
    )
    expect(structuralSchema(schema)).toEqual({
      type: 'object',
      description: 'a thing',
      properties: {
        size: { type: 'integer', minimum: 1 },
        note: { type: 'string', maxLength: 5 },
      },
      required: ['size'],
    })
  })

  test('words to choose from become an enum, and maps keep the rules of their values', () => {
    const choice = Type.Union([Type.Literal('Auto'), Type.Literal('Never')], { description: 'when' })
    expect(structuralSchema(choice)).toEqual({ type: 'string', enum: ['Auto', 'Never'], description: 'when' })
    const map = Type.Record(Type.String(), Type.String({ maxLength: 63 }), { maxProperties: 2 })
    expect(structuralSchema(map)).toEqual({
      type: 'object',
      maxProperties: 2,
      additionalProperties: { type: 'string', maxLength: 63 },
    })
  })

  test('text or a number becomes int-or-string', () => {
    const quantity = Type.Union([Type.String({ pattern: '^[0-9]+$' }), Type.Number({ minimum: 0 })])
    expect(structuralSchema(quantity)).toEqual({
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      'x-kubernetes-int-or-string': true,
      pattern: '^[0-9]+$',
      minimum: 0,
    })
  })

  test.each([
    ['numbers that are no integers', Type.Number()],
    ['other unions', Type.Union([Type.String(), Type.Boolean()])],
    ['anything', Type.Unknown()],
  ])('has no words for %s, and says so', (_what, schema) => {
    expect(() => structuralSchema(schema)).toThrow('a definition has no words for')
  })
})
