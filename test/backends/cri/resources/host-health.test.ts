import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CriOptions } from '../../../../src/backends/cri/config.ts'
import { openNetwork } from '../../../../src/backends/cri/network/network-guard.ts'
import { HostHealth } from '../../../../src/backends/cri/resources/host-health.ts'
import { RuntimeInquiry } from '../../../../src/backends/cri/runtime/runtime-facts.ts'
import { FakeRuntime } from '../fake-runtime.ts'

const { signal } = new AbortController()
let stateDir: string
let runtime: FakeRuntime

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'spillway-health-'))
  // Of an empty tmpfs, all is free.
  await writeFile(join(stateDir, 'used'), 'x'.repeat(10_000))
  runtime = new FakeRuntime()
})

afterEach(async () => await rm(stateDir, { recursive: true }))

/** A machine has never all of anything, and always nothing of it: what is asked for decides. */
const everything = '100%'
const nothing = '0'
const roomy = {
  'nodefs.available': nothing,
  'nodefs.inodesFree': nothing,
  'imagefs.available': nothing,
  'imagefs.inodesFree': nothing,
  'memory.available': nothing,
  'pid.available': nothing,
}

interface Setting {
  readonly imageDisk?: () => Promise<string | undefined>
  readonly others?: CriOptions['evictionHard']
  /** Of the guard of the network. */
  readonly trouble?: string
}

function health(
  thresholds: CriOptions['evictionHard'],
  { imageDisk = async () => undefined, others = roomy, trouble }: Setting = {},
): HostHealth {
  const evictionHard = { ...others, ...thresholds }
  const options = { socket: '/none', stateDir, cgroupParent: '/spillway', evictionHard }
  const settings = { name: 'cri', clusterUid: 'test-cluster', instance: 'test', options }
  const tools = {
    settings,
    runtime: new RuntimeInquiry(runtime.client),
    network: { ...openNetwork, trouble },
  }
  return new HostHealth({ tools, imageDisk })
}

describe('the health of a host', () => {
  it('is bad of its network where Pods cannot be isolated, though the runtime’s is ready', async () => {
    const trouble = 'Pods cannot be isolated: nft: not found'
    expect((await health({}, { trouble }).check(signal)).network).toEqual({
      ok: false,
      reason: 'PodsNotIsolated',
      message: trouble,
    })
  })

  it('is good where there is enough of everything', async () => {
    expect(await health({}).check(signal)).toMatchObject({
      runtime: { ok: true, reason: 'RuntimeReady' },
      network: { ok: true, reason: 'NetworkReady' },
      disk: { ok: true, reason: 'NodeHasNoDiskPressure' },
      memory: { ok: true, reason: 'NodeHasSufficientMemory' },
      pids: { ok: true, reason: 'NodeHasSufficientPID' },
      runtimeVersion: 'fake://1.0.0',
    })
  })

  it.each([
    ['nodefs.available', 'disk', 'NodeHasDiskPressure', 'ephemeral-storage'],
    ['memory.available', 'memory', 'NodeHasInsufficientMemory', 'memory'],
    ['pid.available', 'pids', 'NodeHasInsufficientPID', 'pids'],
  ] as const)('is short of no more than what is below %s', async (threshold, check, reason, resource) => {
    const checks = await health({ [threshold]: everything }).check(signal)
    expect(checks[check]).toMatchObject({ ok: false, reason, shortage: { resource } })
    const { least = 0n, available = 0n } = checks[check].shortage ?? {}
    expect(available).toBeLessThan(least)
    const { disk, memory, pids } = checks
    expect([disk, memory, pids].filter(({ ok }) => !ok)).toHaveLength(1)
  })

  it('has kubelet’s thresholds where none are set', async () => {
    const checks = await health({ 'nodefs.available': everything }, { others: {} }).check(signal)
    expect(checks.disk.shortage?.resource).toBe('ephemeral-storage')
    expect(checks.pids).toMatchObject({ ok: true })
  })

  it('is told in the same sentence while a shortage lasts, however much is left', async () => {
    const short = health({ 'nodefs.available': everything })
    const before = await short.disk(signal)
    await writeFile(join(stateDir, 'used'), 'x'.repeat(5_000_000))
    const after = await short.disk(signal)
    expect(after.message).toBe(before.message)
  })
})

describe('a runtime', () => {
  it('that cannot be reached is trouble, its network too, and no failure of the look', async () => {
    runtime.beforeLook = () => Promise.reject(new Error('connect ENOENT'))
    expect(await health({}).check(signal)).toMatchObject({
      runtime: { ok: false, reason: 'RuntimeUnreachable', message: 'connect ENOENT' },
      network: { ok: false, reason: 'RuntimeUnreachable' },
      disk: { ok: true },
      memory: { ok: true },
      runtimeVersion: 'containerd://unknown',
    })
  })

  it('says itself what it lacks', async () => {
    const condition = {
      type: 'NetworkReady',
      status: false,
      reason: 'NetworkPluginNotReady',
      message: 'no CNI',
    }
    const ready = { type: 'RuntimeReady', status: true, reason: '', message: '' }
    runtime.status = async () => ({
      status: { conditions: [condition, ready] },
      info: {},
      runtimeHandlers: [],
      features: null,
    })
    expect(await health({}).check(signal)).toMatchObject({
      runtime: { ok: true },
      network: { ok: false, reason: 'NetworkPluginNotReady', message: 'no CNI' },
    })
  })
})

describe('the disks of a host', () => {
  it('are that of images too, with a threshold of its own', async () => {
    const imageDisk = async (): Promise<string> => '/'
    const check = await health({ 'imagefs.available': everything }, { imageDisk }).disk(signal)
    expect(check).toMatchObject({ ok: false, reason: 'NodeHasDiskPressure' })
    expect(check.message).toMatch(/of the disk of \/ are free$/)
    expect(await health({ 'imagefs.available': everything }).disk(signal)).toMatchObject({ ok: true })
  })

  it('are the first that is short: the one of Pods before the one of images', async () => {
    const both = { 'imagefs.available': everything, 'nodefs.available': everything }
    const check = await health(both, { imageDisk: async () => '/' }).disk(signal)
    expect(check.message).toContain(`of the disk of ${stateDir} are free`)
  })

  it('are looked at without that of images when the runtime does not answer', async () => {
    const imageDisk = (): Promise<string> => Promise.reject(new Error('no answer'))
    const both = { 'imagefs.available': everything, 'nodefs.available': everything }
    expect(await health({ 'imagefs.available': everything }, { imageDisk }).disk(signal)).toMatchObject({
      ok: true,
    })
    expect(await health(both, { imageDisk }).disk(signal)).toMatchObject({
      ok: false,
      reason: 'NodeHasDiskPressure',
    })
  })

  it('that cannot be looked at are trouble, not a failure, and no shortage for which a Pod has to go', async () => {
    const check = await health({}, { imageDisk: async () => join(stateDir, 'gone') }).disk(signal)
    expect(check).toMatchObject({ ok: false, reason: 'CheckFailed' })
    expect(check).not.toHaveProperty('shortage')
    expect(check.message).toContain('ENOENT')
  })
})
