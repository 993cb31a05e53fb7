import { expect, it } from 'vitest'
import { storedPod } from '../../src/scheduling/stored-pod.ts'
import { podSample } from './samples.ts'

const whole = podSample({ spec: { resources: { requests: { cpu: '2' } } } })

it('is the Pod without what an older API server does not know', () => {
  const { pod, dropped } = storedPod(whole, 'v1.30.14')
  expect(dropped).toEqual(['spec.resources'])
  expect(pod).toEqual(podSample())
  expect(whole.spec?.resources).toBeDefined()
})

it('is the Pod itself on newer ones, and where there is nothing to drop', () => {
  for (const version of ['v1.34.0', 'v1.37.2', 'unknown']) {
    expect(storedPod(whole, version)).toEqual({ pod: whole, dropped: [] })
  }
  expect(storedPod(podSample(), 'v1.30.14')).toEqual({ pod: podSample(), dropped: [] })
})
