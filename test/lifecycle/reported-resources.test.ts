import { describe, expect, it } from 'vitest'
import { reportedContainerResources, reportedPodResources } from '../../src/lifecycle/reported-resources.ts'
import type { ContainerStatus, ResourceRequirements } from '../../src/model/kubernetes.ts'
import { aContainer, aPod } from '../support/builders.ts'
import { exited, running } from './observations.ts'

const allocated = { requests: { cpu: '2', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } }
const before = { requests: { cpu: '1', memory: '512Mi' }, limits: { cpu: '1', memory: '512Mi' } }

function reported(
  resources: ResourceRequirements | undefined,
  { given = allocated, previous }: { given?: ResourceRequirements; previous?: Partial<ContainerStatus> } = {},
) {
  return reportedContainerResources({
    container: { resources: given },
    observed: running('main', 10, resources ? { resources } : {}),
    previous: previous && {
      name: 'main',
      image: '',
      imageID: '',
      ready: true,
      restartCount: 0,
      ...previous,
    },
  })
}

describe('a container’s status', () => {
  it('says what is set aside, and what is in effect of it', () => {
    expect(reported(before)).toEqual({ resources: before, allocatedResources: allocated.requests })
  })

  it('says what is set aside of what does not run', () => {
    const observed = exited('main', 0, { resources: before })
    const { resources } = reportedContainerResources({
      container: { resources: allocated },
      observed,
      previous: undefined,
    })
    expect(resources).toEqual(allocated)
  })

  it('goes on saying what it said of what the runtime does not tell', () => {
    const state = { running: { startedAt: '2026-01-01T00:00:10Z' } }
    const previous = { containerID: 'simulated://main-0', state, resources: before }
    expect(reported(undefined, { previous }).resources).toEqual(before)
    const other = { ...previous, containerID: 'simulated://main-9' }
    expect(reported(undefined, { previous: other }).resources).toEqual(allocated)
  })

  it('does not make limits or requests up that nobody stated', () => {
    const given = { requests: { memory: '1Gi' } }
    expect(reported({ requests: { cpu: '2m' }, limits: { memory: '1Gi' } }, { given }).resources).toEqual(
      given,
    )
    expect(reported({ requests: { cpu: '2m' } }, { given: {} })).toEqual({ resources: {} })
  })

  it('shows what was asked where the kernel cannot tell sizes apart', () => {
    const given = { requests: { cpu: '1m' }, limits: { cpu: '5m' } }
    expect(reported({ requests: { cpu: '2m' }, limits: { cpu: '10m' } }, { given }).resources).toEqual(given)
  })
})

describe('the Pod’s status as a whole', () => {
  const pod = aPod({
    spec: {
      containers: [
        aContainer({ resources: allocated }),
        aContainer({ name: 'free', resources: { requests: { cpu: '500m' } } }),
      ],
    },
  })
  const allocatedResources = { cpu: '2500m', memory: '1Gi' }

  it('is what was set aside until the Pod runs', () => {
    expect(reportedPodResources(pod, {}, { phase: 'Pending' })).toEqual({
      allocatedResources,
      resources: { requests: allocatedResources, limits: { cpu: '2', memory: '1Gi' } },
    })
  })

  it('is what is in effect from then on', () => {
    const resources = { requests: { cpu: '1500m' } }
    expect(reportedPodResources(pod, { resources }, { phase: 'Running' })).toEqual({
      allocatedResources,
      resources: { requests: { cpu: '1500m', memory: '1Gi' } },
    })
  })

  it('keeps what the Pod states as a whole', () => {
    const whole = aPod({
      spec: { resources: { requests: { cpu: '3', memory: '2Gi' }, limits: { cpu: '4' } } },
    })
    const resources = { requests: { cpu: '3' }, limits: { cpu: '4' } }
    expect(reportedPodResources(whole, { resources }, { phase: 'Running' })).toEqual({
      allocatedResources: { cpu: '3', memory: '2Gi' },
      resources: { requests: { cpu: '3', memory: '2Gi' }, limits: { cpu: '4' } },
    })
  })

  it('is nothing for a Pod that asks for nothing', () => {
    const resources = { requests: { cpu: '2m' } }
    expect(reportedPodResources(aPod(), { resources }, { phase: 'Running' })).toEqual({ resources: {} })
  })
})
