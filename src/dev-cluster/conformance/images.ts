import { busyboxLayer, defaultEnv, packageEntries, type ImageRecipe } from '../image-recipe.ts'
import { agnhost, busybox, nginx } from '../image-recipes.ts'
import type { LayerEntry } from '../layer.ts'

const testImages = 'registry.k8s.io/e2e-test-images'

const testBusybox: ImageRecipe = {
  ...busybox,
  name: `${testImages}/busybox:1.37.0-2`,
  binaries: ['busybox', 'test-shell'],
  debianPackages: ['bash-static'],
  weightSeconds: 3,
  content: async (sources) => {
    const { layers, config } = await busybox.content(sources)
    const bash = await packageEntries(sources.packageRoot, { 'usr/bin/bash-static': 'bin/bash' })
    const shell: LayerEntry = {
      kind: 'file',
      path: 'bin/sh',
      source: sources.path('test-shell'),
      mode: 0o755,
    }
    return { layers: [...layers, [...bash, shell]], config }
  },
}

const nonroot: ImageRecipe = {
  ...busybox,
  name: `${testImages}/nonroot:1.5`,
  content: async (sources) => {
    const { layers, config } = await busybox.content(sources)
    return { layers, config: { ...config, User: '1234' } }
  },
}

const nonewprivs: ImageRecipe = {
  name: `${testImages}/nonewprivs:1.4`,
  revision: 1,
  binaries: ['busybox', 'nnp'],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [
      busyboxLayer(sources),
      // Set-uid: it tells whether that counts in the container.
      [{ kind: 'file', path: 'usr/local/bin/nnp', source: sources.path('nnp'), mode: 0o6755 }],
    ],
    config: { Env: defaultEnv, Cmd: ['nnp'] },
  }),
}

const glibcDnsTesting: ImageRecipe = {
  name: `${testImages}/glibc-dns-testing:2.1.1`,
  revision: 1,
  binaries: ['busybox'],
  // The second is what hostname needs before it can even be unpacked, which is no ordinary dependency.
  debianPackages: ['hostname', 'libc6'],
  weightSeconds: 3,
  content: async (sources) => ({
    layers: [
      busyboxLayer(sources),
      await packageEntries(sources.packageRoot, { 'usr/bin/hostname': 'bin/hostname' }),
    ],
    config: { Env: defaultEnv, Cmd: ['sh'] },
  }),
}

/**
 * Images of upstream's node tests beside those of every cluster. Those of the same program in another version have the
 * same content: what a test wants is another name.
 */
export const conformanceImages: readonly ImageRecipe[] = [
  testBusybox,
  nonroot,
  nonewprivs,
  glibcDnsTesting,
  { ...agnhost, name: `${testImages}/agnhost:2.55` },
  { ...nginx, name: `${testImages}/nginx:1.27.0-2` },
  { ...nginx, name: `${testImages}/nginx:1.28.0-2` },
]
