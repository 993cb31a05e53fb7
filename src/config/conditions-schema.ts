import { Type } from 'typebox'

const conditionSchema = Type.Object({
  type: Type.String(),
  status: Type.String(),
  reason: Type.String(),
  message: Type.String(),
  observedGeneration: Type.Optional(Type.Integer({ format: 'int64' })),
  lastTransitionTime: Type.String({ format: 'date-time' }),
})

/** Of the status of every kind of ours, in Kubernetes' own shape. */
export const conditionsSchema = Type.Array(conditionSchema, {
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
})
