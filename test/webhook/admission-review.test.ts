import { expect, it } from 'vitest'
import { answerReview, type Mutation } from '../../src/webhook/admission-review.ts'

const labels: Mutation = ({ metadata }) => [
  { op: 'add', path: '/metadata/labels', value: { namespace: metadata?.namespace } },
]
const review = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u-1', namespace: 'shop', object: { metadata: { name: 'web' } } },
}

it('answers with the patch, of the object in the namespace that the request names', () => {
  const { response, ...rest } = JSON.parse(answerReview(JSON.stringify(review), labels)) as {
    response: { patch: string }
  }
  const patch = [{ op: 'add', path: '/metadata/labels', value: { namespace: 'shop' } }]
  expect(rest).toEqual({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' })
  expect(response).toMatchObject({ uid: 'u-1', allowed: true, patchType: 'JSONPatch' })
  expect(JSON.parse(Buffer.from(response.patch, 'base64').toString())).toEqual(patch)
})

it('answers without a patch where nothing is to change: the API server takes no empty one', () => {
  const answer = JSON.parse(answerReview(JSON.stringify(review), () => [])) as { response: object }
  expect(answer.response).toEqual({ uid: 'u-1', allowed: true })
})

it.each([
  ['not JSON', 'nonsense', 'not JSON'],
  ['a list', '[]', 'found []; an AdmissionReview is needed'],
  [
    'of an older version',
    JSON.stringify({ ...review, apiVersion: 'admission.k8s.io/v1beta1' }),
    'apiVersion and kind: found "admission.k8s.io/v1beta1" "AdmissionReview"; allowed: admission.k8s.io/v1 AdmissionReview',
  ],
  [
    'without uid',
    JSON.stringify({ ...review, request: { object: {} } }),
    'request.uid: found nothing; a text is needed',
  ],
  [
    'without an object, as of a deletion',
    JSON.stringify({ ...review, request: { uid: 'u', object: null } }),
    'request.object: found null; an object is needed',
  ],
])('refuses what is %s, with its field', (_what, text, message) => {
  expect(() => answerReview(text, labels)).toThrow(`admission review: ${message}`)
})
