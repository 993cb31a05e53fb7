import { afterAll, beforeAll } from 'vitest'
import { virtualNodePools } from '../../src/kube/resources.ts'
import type { SecurityProfile } from '../../src/model/security-profile.ts'
import { virtualPoolName } from '../../src/dev-cluster/embedded-cluster.ts'
import type { Story } from './story.ts'

/** For the tests of the file, the embedded cluster's pool lets its Pods have this; else it lets them have nothing. */
export function allowInPool(told: { readonly current: Story }, security: SecurityProfile): void {
  beforeAll(async () => await setSecurity(told.current, security))
  afterAll(async () => await setSecurity(told.current, null))
}

async function setSecurity({ api, signal, until }: Story, security: SecurityProfile | null): Promise<void> {
  const name = { name: virtualPoolName }
  await api.patch(virtualNodePools, name, { type: 'merge', body: { spec: { security } } }, signal)
  await until('the pool is as it was told to be', async () => {
    const { metadata, status } = await api.get(virtualNodePools, name, signal)
    return status?.observedGeneration === metadata?.generation
  })
}
