import { expect, it } from 'vitest'
import { Isolation } from '../../../../src/backends/cri/network/isolation.ts'
import type { NetworkOptions } from '../../../../src/backends/cri/network/network-options.ts'
import { openGuard } from '../../../../src/backends/cri/network/open-guard.ts'
import { openNetwork, type NetworkGuard } from '../../../../src/backends/cri/network/network-guard.ts'
import { noDoors } from '../../../../src/model/node-door.ts'
import { createLog } from '../../../../src/telemetry/log.ts'
import { FakeRuntime } from '../fake-runtime.ts'

let said = ''

async function open(options: NetworkOptions): Promise<NetworkGuard> {
  said = ''
  const destination = { write: (line: string) => void (said += line) }
  return await openGuard({
    owner: { clusterUid: 'open-guard-test', instance: 'test', backend: 'cri' },
    options,
    hostResolvConf: '',
    doors: noDoors,
    client: new FakeRuntime().client,
    log: createLog({ level: 'info', destination }),
  })
}

it('Pods are isolated unless the options say otherwise', async () => {
  for (const options of [{}, { isolation: 'On' }] as const) {
    const guard = await open(options)
    expect(guard).toBeInstanceOf(Isolation)
    expect(said).toBe('')
    await guard.close()
  }
})

it('that they are not isolated, by option, is said', async () => {
  expect(await open({ isolation: 'Off' })).toBe(openNetwork)
  expect(said).toContain('Pods reach this machine')
})
