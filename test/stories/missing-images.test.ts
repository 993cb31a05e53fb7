import { expect, test } from 'vitest'
import { pods } from '../../src/kube/resources.ts'
import { pullStories } from '../support/pull-story.ts'
import { story } from '../support/story.ts'
import { onServer, outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-missing-images'
const told = story(namespace)
const { waitingReason, waitingMessage, messagesOf, toldOfBackoff, pullStory } = pullStories(told)

// Far less than it takes to give up on a name server or a registry that does not answer.
const soonMs = 10_000

test.each([
  ['hub', 'docker.io/library/not-there:1'],
  ['k8s', 'registry.k8s.io/not-there:1'],
  ['foreign', 'registry.example/team/not-there:1'],
])('an image that is not there fails soon: %s', async (name, image) => {
  const { until } = told.current
  await create(name, image)
  await until('the pull has failed', async () => (await messagesOf(name, 'Failed')).length > 0, soonMs)
  await until('it backs off', () => waitingReason(name) === 'ImagePullBackOff', soonMs)
  expect(waitingMessage(name)).toContain(`Back-off pulling image "${image}": ErrImagePull: `)
})

test('people are told as the real kubelet tells them', async () => {
  const { until } = told.current
  const image = 'docker.io/library/nowhere:1'
  await create('out', image)
  await create('in', image, 'server')
  for (const name of ['out', 'in']) await until(`of ${name}`, () => toldOfBackoff(name))
  expect(await pullStory('out')).toEqual(await pullStory('in'))
})

test('a name that is none is refused in the same words', async () => {
  const { until } = told.current
  await create('out-bad', 'No/Name')
  await create('in-bad', 'No/Name', 'server')
  for (const name of ['out-bad', 'in-bad']) {
    await until(`${name} waits`, () => waitingReason(name) === 'InvalidImageName')
    await until(`people are told of ${name}`, async () =>
      (await messagesOf(name, 'Failed')).includes('Error: InvalidImageName'),
    )
  }
  expect(waitingMessage('out-bad')).toBe(waitingMessage('in-bad'))
  expect(await pullStory('out-bad')).toEqual(await pullStory('in-bad'))
})

async function create(name: string, image: string, place?: 'server'): Promise<void> {
  const { api, signal } = told.current
  const pod = scriptPod({ namespace, name }, 'true', place ? onServer : outByHand)
  const resources = { requests: { cpu: '10m', memory: '16Mi' } }
  const containers = (pod.spec?.containers ?? []).map((main) => ({ ...main, image, resources }))
  await api.create(pods, { ...pod, spec: { ...pod.spec, containers } }, signal)
}
