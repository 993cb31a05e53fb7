import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { waitUntil } from '../../src/dev-cluster/wait-until.ts'
import type { KubeApi } from '../../src/kube/api.ts'
import { createKubeClient } from '../../src/kube/client.ts'
import { explicitCredentials } from '../../src/kube/credentials.ts'
import { namespaces, nodes, pods, secrets } from '../../src/kube/resources.ts'
import { systemClock as clock } from '../../src/model/clock.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts'

const never = new AbortController().signal

describe('a rootless control plane', () => {
  let test: TestControlPlane
  let admin: KubeApi
  const clients: (KubeApi & { close(): Promise<void> })[] = []

  function clientOf(certificate?: { cert: string; key: string }): KubeApi {
    const credentials = explicitCredentials({ ...test.controlPlane.admin, ...certificate })
    const client = createKubeClient({
      credentials,
      userAgent: 'spillway (test)',
      clock,
      log: silentLog(),
      random: Math.random,
    })
    clients.push(client)
    return client
  }

  beforeAll(async () => {
    test = await startTestControlPlane({ virtualNodes: ['burst-0'] })
    admin = clientOf()
  })

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await test[Symbol.asyncDispose]()
  })

  it('takes the certificate of Spillway’s ServiceAccount, with the rights it was given and no others', async () => {
    const files = `${test.controlPlane.stateDir}/pki/spillway`
    const cert = await readFile(`${files}.crt`, 'utf8')
    const key = await readFile(`${files}.key`, 'utf8')
    const spillway = clientOf({ cert, key })
    await expect(spillway.list(pods, {}, never)).resolves.toBeDefined()
    await expect(spillway.list(secrets, {}, never)).rejects.toMatchObject({ code: 'Forbidden' })
  })

  it('lets a node make itself, and no other node', async () => {
    const files = test.controlPlane.spillway.nodes.get('burst-0')
    const cert = await readFile(files?.certFile ?? '', 'utf8')
    const key = await readFile(files?.keyFile ?? '', 'utf8')
    const node = clientOf({ cert, key })
    const named = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} })
    await expect(node.create(nodes, named('burst-0'), never)).resolves.toBeDefined()
    await expect(node.create(nodes, named('burst-1'), never)).rejects.toMatchObject({ code: 'Forbidden' })
  })

  it('keeps its objects and its address while its API server is killed and started', async () => {
    const name = 'kept'
    await admin.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, never)
    await test.controlPlane.killComponent('kube-apiserver', never)
    await expect(admin.get(namespaces, { name }, never)).rejects.toMatchObject({ code: 'Unavailable' })
    await test.controlPlane.startComponent('kube-apiserver', never)
    expect((await admin.get(namespaces, { name }, never)).metadata?.name).toBe(name)
  })

  it('schedules and gives ServiceAccounts again after controller-manager and scheduler were killed', async () => {
    for (const component of ['kube-controller-manager', 'kube-scheduler'] as const) {
      await test.controlPlane.killComponent(component, never)
      await test.controlPlane.startComponent(component, never)
    }
    const container = { name: 'main', image: 'docker.io/library/busybox:1.37' }
    const metadata = { namespace: 'default', name: 'homeless' }
    await admin.create(
      pods,
      { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [container] } },
      never,
    )
    // burst-0 says nothing about itself, so its Pod finds no place: the scheduler says that in its condition.
    await waitUntil(
      async (signal) => {
        const { status } = await admin.get(pods, metadata, signal)
        return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')
      },
      { condition: 'the scheduler has looked at the Pod', timeoutMs: 60_000, clock },
      never,
    )
  })

  it('ends every process with stop', async () => {
    const ours = async (): Promise<string[]> => {
      const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
      const commands = await Promise.all(
        pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
      )
      return commands.filter((command) => command.includes(test.controlPlane.stateDir))
    }
    expect(await ours()).toHaveLength(4)
    await test.controlPlane.stop(never)
    expect(await ours()).toEqual([])
  })
})
