import { beforeAll, expect, test } from 'vitest'
import { pods, runtimeClasses } from '../../src/kube/resources.ts'
import { isReady, story } from '../support/story.ts'
import { outByHand, scriptPod } from '../support/story-manifests.ts'

const namespace = 'story-gvisor'
const told = story(namespace)
const forever = 'exec sleep 3600'
const sealed = { ...outByHand, runtimeClassName: 'gvisor' }

beforeAll(async () => {
  const { api, signal, until, pod } = told.current
  const { overhead } = await api.get(runtimeClasses, { name: 'gvisor' }, signal)
  expect(overhead?.podFixed).toBeDefined()
  const main = scriptPod({ namespace, name: 'sealed' }, `echo begun; ${forever}`, sealed)
  const beside = { ...main.spec?.containers[0], name: 'beside' }
  const spec = { ...main.spec, containers: [...(main.spec?.containers ?? []), beside] }
  await api.create(pods, { ...main, spec }, signal)
  await until('it is ready', () => isReady(pod('sealed')))
})

test('a Pod has a kernel of its own, the same for all of its containers', async () => {
  const { kubectl } = told.current
  for (const container of ['main', 'beside']) {
    const { stdout } = await kubectl('exec', 'sealed', '-c', container, '--', 'dmesg')
    expect(stdout).toContain('Starting gVisor')
  }
  expect((await kubectl('logs', 'sealed', '-c', 'main')).stdout).toBe('begun\n')
})
