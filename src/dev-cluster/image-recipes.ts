import { join } from 'node:path'
import {
  accountFiles,
  busyboxLayer,
  defaultEnv,
  packageEntries,
  type Account,
  type ImageRecipe,
} from './image-recipe.ts'
import type { LayerEntry } from './layer.ts'
import { nginxFiles } from './nginx-files.ts'

const pause: ImageRecipe = {
  name: 'registry.k8s.io/pause:3.10.2',
  revision: 1,
  binaries: ['pause'],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [[{ kind: 'file', path: 'pause', source: sources.path('pause'), mode: 0o755 }]],
    config: { Env: defaultEnv, Entrypoint: ['/pause'], User: '65535:65535', WorkingDir: '/' },
  }),
}

export const busybox: ImageRecipe = {
  name: 'docker.io/library/busybox:1.37',
  revision: 1,
  binaries: ['busybox'],
  weightSeconds: 1,
  content: async (sources) => ({
    layers: [busyboxLayer(sources)],
    config: { Env: defaultEnv, Cmd: ['sh'] },
  }),
}

// What upstream's tests run inside it besides agnhost itself; busybox has another nc, and no curl, and its shell takes
// its own programs before those of the same name in a folder.
const agnhostPackageFiles = {
  'usr/bin/bash-static': 'bin/bash',
  'usr/bin/curl': 'usr/bin/curl',
  'usr/bin/nc.openbsd': 'bin/nc',
}

export const agnhost: ImageRecipe = {
  name: 'registry.k8s.io/e2e-test-images/agnhost:2.66.1',
  revision: 4,
  binaries: ['busybox', 'agnhost'],
  debianPackages: ['bash-static', 'curl', 'netcat-openbsd'],
  weightSeconds: 20,
  content: async (sources) => {
    const binary = sources.path('agnhost')
    const certificate = (file: string): LayerEntry => ({
      kind: 'file',
      path: file,
      source: join(binary, '..', file),
    })
    // Upstream's tests of supplementary groups count on exactly this user.
    const user: Account = {
      name: 'user-defined-in-image',
      uid: 1000,
      home: '/home/user-defined-in-image',
      shell: '/bin/sh',
      groups: { 'group-defined-in-image': 50000 },
    }
    return {
      layers: [
        busyboxLayer(sources),
        await packageEntries(sources.packageRoot, agnhostPackageFiles),
        [
          { kind: 'symlink', path: 'bin/sh', target: 'bash' },
          { kind: 'file', path: 'agnhost', source: binary, mode: 0o755 },
          { kind: 'symlink', path: 'agnhost-2', target: 'agnhost' },
          { kind: 'dir', path: 'uploads' },
          certificate('localhost.crt'),
          certificate('localhost.key'),
          ...accountFiles([user]),
        ],
      ],
      config: {
        Env: defaultEnv,
        Entrypoint: ['/agnhost'],
        Cmd: ['pause'],
        ExposedPorts: { '80/tcp': {}, '8080/tcp': {}, '8081/tcp': {}, '9376/tcp': {}, '5000/tcp': {} },
      },
    }
  },
}

const nginxPackageFiles = {
  'usr/sbin/nginx': 'usr/sbin/nginx',
  'etc/nginx/mime.types': 'etc/nginx/mime.types',
}

// The distribution's nginx under the name that examples on the web use: a Pod spec with `image: nginx:1.29` works
// here as it stands, though the version inside is the distribution's.
export const nginx: ImageRecipe = {
  name: 'docker.io/library/nginx:1.29',
  revision: 1,
  binaries: ['busybox'],
  debianPackages: ['nginx'],
  weightSeconds: 8,
  content: async (sources) => {
    const user: Account = { name: 'nginx', uid: 101, home: '/nonexistent', shell: '/bin/false', groups: {} }
    return {
      layers: [
        busyboxLayer(sources),
        [
          ...(await packageEntries(sources.packageRoot, nginxPackageFiles)),
          ...nginxFiles,
          ...accountFiles([user]),
        ],
      ],
      config: {
        Env: defaultEnv,
        Entrypoint: ['/docker-entrypoint.sh'],
        Cmd: ['nginx', '-g', 'daemon off;'],
        ExposedPorts: { '80/tcp': {} },
        // Lets requests under way finish; TERM would cut them.
        StopSignal: 'SIGQUIT',
      },
    }
  },
}

/** The images that every embedded cluster has. */
export const imageRecipes: readonly ImageRecipe[] = [pause, busybox, agnhost, nginx]
