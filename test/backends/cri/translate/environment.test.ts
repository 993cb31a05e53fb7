import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerEnvironment } from '../../../../src/backends/cri/translate/environment.ts'
import type { Container, Pod, PodSpec } from '../../../../src/model/kubernetes.ts'
import { containerOf, FakeSources, podOf, secretOf } from '../fake-sources.ts'

const never = new AbortController().signal
let sources: FakeSources
let podDir: string

beforeEach(async () => {
  sources = new FakeSources()
  podDir = await mkdtemp(join(tmpdir(), 'spillway-environment-'))
})

afterEach(async () => await rm(podDir, { recursive: true, force: true }))

async function environmentOf(
  fields: Partial<Container>,
  spec: Partial<PodSpec> = {},
  metadata: Pod['metadata'] = {},
): Promise<Record<string, string>> {
  const container = containerOf(fields)
  const pod = podOf({ containers: [container], nodeName: 'burst-0', ...spec }, metadata)
  const podIps = ['10.1.0.7', 'fd00::7']
  const variables = await containerEnvironment({ pod, podDir, container, podIps, sources }, never)
  return Object.fromEntries(variables.map(({ key, value }) => [key, value]))
}

describe('containerEnvironment', () => {
  it('puts env over envFrom over the variables of Services', async () => {
    sources.services.set('A', 'service').set('B', 'service').set('C', 'service')
    sources.configMaps.set('settings', { data: { A: 'config', B: 'config' } })
    const envFrom = [{ configMapRef: { name: 'settings' } }]
    const env = [{ name: 'A', value: 'own' }]
    expect(await environmentOf({ env, envFrom })).toEqual({ A: 'own', B: 'config', C: 'service' })
  })

  it('expands references to what is set before, and to Services', async () => {
    sources.services.set('DB_SERVICE_HOST', '10.96.0.9')
    const env = [
      { name: 'URL', value: 'db://$(DB_SERVICE_HOST)/$(LATER)' },
      { name: 'COPY', value: '$(URL)!' },
      { name: 'LATER', value: '$$(URL)' },
    ]
    expect(await environmentOf({ env })).toMatchObject({
      URL: 'db://10.96.0.9/$(LATER)',
      COPY: 'db://10.96.0.9/$(LATER)!',
      LATER: '$(URL)',
    })
  })

  it('takes all keys with a prefix, also those that are no shell identifiers', async () => {
    sources.secrets.set('keys', secretOf({ 'data-1': 'x', 'two.2': 'y' }))
    const envFrom = [{ prefix: 'p-', secretRef: { name: 'keys' } }]
    expect(await environmentOf({ envFrom })).toEqual({ 'p-data-1': 'x', 'p-two.2': 'y' })
  })

  describe('from a file that an init container wrote into a volume', () => {
    const volumes = [
      { name: 'made', emptyDir: {} },
      { name: 'settings', configMap: { name: 'settings' } },
    ]
    const valueOf = async (fields: object) => {
      const valueFrom: object = { fileKeyRef: { volumeName: 'made', path: 'app.env', key: 'A', ...fields } }
      const env = [{ name: 'X', valueFrom }]
      return await environmentOf({ env }, { volumes })
    }

    beforeEach(async () => {
      await mkdir(join(podDir, 'volumes/made'), { recursive: true })
      await writeFile(join(podDir, 'volumes/made/app.env'), "A='1'\n")
    })

    it('takes the value of a key, and nothing of one that is not there and need not be', async () => {
      expect(await valueOf({})).toEqual({ X: '1' })
      expect(await valueOf({ key: 'B', optional: true })).toEqual({})
    })

    it.each([
      [{ key: 'B' }, 'environment variable key "B" not found in file "app.env"'],
      [{ path: 'other.env', optional: true }, "couldn't parse env file"],
      [{ volumeName: 'none' }, 'cannot find the volume "none" referenced by FileKeyRef'],
      [{ volumeName: 'settings' }, 'cannot find the volume "settings" referenced by FileKeyRef'],
    ])('says what is missing: %j', async (fields, message) => {
      const reason = 'CreateContainerConfigError'
      await expect(valueOf(fields)).rejects.toMatchObject({ code: 'NotFound', reason, message })
    })
  })

  it('reads where the Pod runs', async () => {
    const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
    const env = [
      field('IP', 'status.podIP'),
      field('IPS', 'status.podIPs'),
      field('HOST', 'status.hostIP'),
      field('HOSTS', 'status.hostIPs'),
      field('NODE', 'spec.nodeName'),
      field('UID', 'metadata.uid'),
      field('TIER', "metadata.labels['tier']"),
    ]
    expect(await environmentOf({ env }, {}, { labels: { tier: 'front' } })).toEqual({
      IP: '10.1.0.7',
      IPS: '10.1.0.7,fd00::7',
      HOST: '10.0.0.5',
      HOSTS: '10.0.0.5,fd00::5',
      NODE: 'burst-0',
      UID: 'uid-1',
      TIER: 'front',
    })
  })

  it('reads resources in the unit asked for, rounded up; an unset limit is what the node has', async () => {
    const ask = (name: string, resource: string, divisor?: string) => ({
      name,
      valueFrom: { resourceFieldRef: divisor ? { resource, divisor } : { resource } },
    })
    const env = [
      ask('CPU', 'requests.cpu'),
      ask('CPU_MILLIS', 'requests.cpu', '1m'),
      ask('MEMORY_MIB', 'limits.memory', '1Mi'),
      ask('ALL_CPU', 'limits.cpu'),
      ask('NOTHING', 'requests.memory'),
    ]
    const resources = { requests: { cpu: '250m' }, limits: { memory: '100M' } }
    expect(await environmentOf({ env, resources })).toEqual({
      CPU: '1',
      CPU_MILLIS: '250',
      MEMORY_MIB: '96',
      ALL_CPU: '4',
      NOTHING: '0',
    })
  })

  it('reads a limit that only the Pod as a whole has from there', async () => {
    const env = ['limits.cpu', 'limits.memory'].map((resource) => ({
      name: resource.replace('limits.', ''),
      valueFrom: { resourceFieldRef: { resource } },
    }))
    const limits = { cpu: '1250m', memory: '64Mi' }
    const own = { env, resources: { limits: { memory: '32Mi' } } }
    expect(await environmentOf({ env }, { resources: { limits } })).toEqual({ cpu: '2', memory: '67108864' })
    expect(await environmentOf(own, { resources: { limits } })).toEqual({ cpu: '2', memory: '33554432' })
  })

  it('leaves out what is optional and missing', async () => {
    sources.configMaps.set('settings', { data: {} })
    const env = [
      { name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'k', optional: true } } },
      { name: 'B', valueFrom: { secretKeyRef: { name: 'none', key: 'k', optional: true } } },
    ]
    const envFrom = [{ configMapRef: { name: 'none', optional: true } }]
    expect(await environmentOf({ env, envFrom })).toEqual({})
  })

  it('says what is missing in the words of kubelet', async () => {
    sources.configMaps.set('settings', { data: {} })
    const key = { name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'k' } } }
    await expect(environmentOf({ env: [key] })).rejects.toMatchObject({
      code: 'NotFound',
      reason: 'CreateContainerConfigError',
      message: "couldn't find key k in ConfigMap shop/settings",
    })
    await expect(environmentOf({ envFrom: [{ secretRef: { name: 'none' } }] })).rejects.toMatchObject({
      reason: 'CreateContainerConfigError',
      message: 'secret "none" not found',
    })
  })

  it('keeps only the API server when Service links are off', async () => {
    for (const name of [
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_SERVICE_PORT_HTTPS',
      'KUBERNETES_PORT_443_TCP_ADDR',
    ]) {
      sources.services.set(name, 'x')
    }
    sources.services.set('DB_SERVICE_HOST', 'x').set('KUBERNETES_DASHBOARD_SERVICE_HOST', 'x')
    expect(Object.keys(await environmentOf({}, { enableServiceLinks: false }))).toEqual([
      'KUBERNETES_SERVICE_HOST',
      'KUBERNETES_SERVICE_PORT_HTTPS',
      'KUBERNETES_PORT_443_TCP_ADDR',
    ])
  })
})
