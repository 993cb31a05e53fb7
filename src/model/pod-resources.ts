import type { Container, Pod, ResourceRequirements } from './kubernetes.ts'
import { compareQuantities } from './quantity.ts'

/**
 * The part of a Pod's spec that can change while it runs: what its containers and init containers ask for, and what the
 * Pod asks for as a whole. Plain data, as it stands in the API, so that it can be kept on disk.
 */
export interface PodResources {
  /** By name of the container. */
  readonly containers: Readonly<Record<string, ResourceRequirements>>
  readonly pod?: ResourceRequirements
}

export function resourcesOf({ spec }: Pod): PodResources {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
  return {
    containers: Object.fromEntries(containers.map(({ name, resources }) => [name, resources ?? {}])),
    ...(spec?.resources && { pod: spec.resources }),
  }
}

/** The Pod as if its spec said so. The same object when it does: most Pods are never resized. */
export function withResources(pod: Pod, resources: PodResources): Pod {
  if (!pod.spec || sameResources(resourcesOf(pod), resources)) return pod
  const { resources: _asked, ...spec } = pod.spec
  const sized = (container: Container): Container => ({
    ...container,
    resources: resources.containers[container.name] ?? container.resources ?? {},
  })
  return {
    ...pod,
    spec: {
      ...spec,
      ...(resources.pod && { resources: resources.pod }),
      ...(spec.initContainers && { initContainers: spec.initContainers.map(sized) }),
      containers: spec.containers.map(sized),
    },
  }
}

/** Whether both ask for the same amounts, however they are written: `0.5` is `500m`, and nothing is an empty list. */
export function sameResources(a: PodResources, b: PodResources): boolean {
  const names = new Set([...Object.keys(a.containers), ...Object.keys(b.containers)])
  const sameContainers = [...names].every((name) => sameRequirements(a.containers[name], b.containers[name]))
  return sameContainers && sameRequirements(a.pod, b.pod)
}

export function sameRequirements(
  a: ResourceRequirements | undefined,
  b: ResourceRequirements | undefined,
): boolean {
  return (
    sameAmounts(a?.requests, b?.requests) &&
    sameAmounts(a?.limits, b?.limits) &&
    JSON.stringify(a?.claims ?? []) === JSON.stringify(b?.claims ?? [])
  )
}

type ResourceList = Readonly<Record<string, string>>

function sameAmounts(a: ResourceList = {}, b: ResourceList = {}): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => {
    const [one, other] = [a[name], b[name]]
    if (one === undefined || other === undefined) return false
    return one === other || compareQuantities(one, other) === 0
  })
}
