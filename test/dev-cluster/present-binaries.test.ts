import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { componentsWith } from '../../src/dev-cluster/components.ts'
import { cachedPath, findPresent } from '../../src/dev-cluster/present-binaries.ts'

const { signal } = new AbortController()
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spillway-present-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

async function program(path: string, prints: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `#!/bin/sh\necho '${prints}'\n`)
  await chmod(path, 0o755)
  return path
}

const find = async (name: 'kube-scheduler' | 'loopback', assets?: string): Promise<string | undefined> =>
  findPresent(
    name,
    { cacheDir: join(dir, 'cache'), environment: { PATH: join(dir, 'path'), KUBEBUILDER_ASSETS: assets } },
    signal,
  )

describe('a binary that need not be built', () => {
  it('is taken from KUBEBUILDER_ASSETS before PATH', async () => {
    await program(join(dir, 'path/kube-scheduler'), 'Kubernetes v1.37.2')
    const asset = await program(join(dir, 'assets/kube-scheduler'), 'Kubernetes v1.37.0')
    expect(await find('kube-scheduler', join(dir, 'assets'))).toBe(asset)
  })

  it('is taken from PATH before the cache', async () => {
    await program(cachedPath(join(dir, 'cache'), 'kube-scheduler'), 'Kubernetes v1.37.2')
    const onPath = await program(join(dir, 'path/kube-scheduler'), 'Kubernetes v1.37.1')
    expect(await find('kube-scheduler')).toBe(onPath)
  })

  it('is passed over when it is of another minor version', async () => {
    await program(join(dir, 'path/kube-scheduler'), 'Kubernetes v1.20.4')
    const cached = await program(cachedPath(join(dir, 'cache'), 'kube-scheduler'), 'Kubernetes v1.37.2')
    expect(await find('kube-scheduler')).toBe(cached)
  })

  it('is passed over when an older version is asked for, and the other way round', async () => {
    const table = componentsWith('v1.30.14')
    const options = { cacheDir: join(dir, 'cache'), environment: { PATH: join(dir, 'path') }, table }
    await program(join(dir, 'path/kube-scheduler'), 'Kubernetes v1.37.2')
    await program(cachedPath(options.cacheDir, 'kube-scheduler'), 'Kubernetes v1.37.2')
    expect(await findPresent('kube-scheduler', options, signal)).toBeUndefined()
    const older = await program(cachedPath(options.cacheDir, 'kube-scheduler', table), 'Kubernetes v1.30.14')
    expect(await findPresent('kube-scheduler', options, signal)).toBe(older)
  })

  it('is not taken from PATH when it cannot tell its version', async () => {
    await program(join(dir, 'path/loopback'), 'CNI loopback plugin v1.9.1')
    expect(await find('loopback')).toBeUndefined()
  })

  it('is passed over when it cannot be run', async () => {
    await program(join(dir, 'path/kube-scheduler'), '')
    await writeFile(join(dir, 'path/kube-scheduler'), '#!/no/such/interpreter\n')
    expect(await find('kube-scheduler')).toBeUndefined()
  })
})
