import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Abuse, HostileContainer, Place } from './abuse.ts'
import { attempt, letThrough, scripted } from './abuse.ts'
import { hostileLayers, machinesFile, upAndUp } from './hostile-layers.ts'
import type { PressedImage, TarEntry } from './press-image.ts'

/** Of all images of this file in the names that Pods give them. */
export const hostileImages = 'registry.example/abuse/'

const imageName = (name: string): string => `${hostileImages}${name}:1`

type Image = Omit<PressedImage, 'repository'> & { readonly corrupt?: boolean }

async function press(images: Readonly<Record<string, Image>>, { press, story }: Place): Promise<void> {
  for (const [name, { corrupt = false, ...image }] of Object.entries(images)) {
    const digest = await press.push({ repository: `abuse/${name}`, ...image }, story.signal)
    if (corrupt && digest) await corruptBlob(story.cluster.stateDir, digest)
  }
}

/** The registry goes on serving it under the name that it had. */
async function corruptBlob(stateDir: string, digest: string): Promise<void> {
  const hex = digest.slice('sha256:'.length)
  const blobs = join(stateDir, 'registry/docker/registry/v2/blobs/sha256')
  const file = join(blobs, hex.slice(0, 2), hex, 'data')
  const bytes = await readFile(file)
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  await writeFile(file, bytes)
}

const note = (at: string): TarEntry => ({ name: at, content: 'from the image' })

/** What containerd has to refuse when it unpacks, with a word of why. */
function unpackable(canary: string): Readonly<Record<string, Image & { readonly says: string }>> {
  const trace = basename(canary)
  return {
    'whiteout-of-here': { layers: [[{ name: `${trace}/.wh..` }]], says: 'whiteout' },
    'whiteout-of-nothing': { layers: [[{ name: `${trace}/.wh.` }]], says: 'whiteout' },
    'hard-link-out': {
      layers: [[{ name: trace, type: 'link', linkname: `${upAndUp}${canary}/file` }]],
      says: 'no such file',
    },
    'through-a-file': { layers: [[note(trace), note(`${trace}/below`)]], says: 'not a directory' },
    'no-tar': { layers: [], lastLayerBytes: randomBytes(1 << 16), says: 'failed to' },
    'wrong-digest': { layers: [[note(`${trace}-wrong`)]], corrupt: true, says: 'digest|failed size' },
    'huge-size': { layers: [[note(`${trace}-huge`)]], sizes: { last: 2 ** 60 }, says: 'size|EOF' },
    'tiny-size': { layers: [[note(`${trace}-tiny`)]], sizes: { last: 1 }, says: 'size' },
    'config-size': { layers: [[note(`${trace}-config`)]], sizes: { config: 2 ** 60 }, says: 'size|EOF' },
  }
}

/** What an image may ask for and a Pod may not have. Where it runs, it looks for the machine's file from where it is. */
function configs(canary: string): Readonly<Record<string, Image>> {
  const look = ['.', ...Array.from({ length: 9 }, (_, depth) => '../'.repeat(depth + 1))]
    .map((up) => `grep -qs "${machinesFile}" ${up}${canary}/file && echo "LET ${up}"`)
    .join('; ')
  const Entrypoint = ['/bin/busybox', 'sh', '-c', `${look}; echo over`]
  const of = (config: object): Image => ({ layers: [], config: { Entrypoint, ...config } })
  return {
    environment: of({ Env: Array.from({ length: 50_000 }, (_, at) => `V${at}=${'x'.repeat(60)}`) }),
    entrypoint: of({ Entrypoint: ['/bin/busybox', 'echo', 'x'.repeat(200_000)] }),
    user: of({ User: `${upAndUp}/etc/shadow:${upAndUp}/etc/group` }),
    'user-number': of({ User: '4294967295:4294967295' }),
    'workdir-up': of({ WorkingDir: `${upAndUp}${canary}` }),
    // A descriptor that the runtime has left open would be the machine's root (CVE-2024-21626).
    'workdir-7': of({ WorkingDir: '/proc/self/fd/7' }),
    'workdir-8': of({ WorkingDir: '/proc/self/fd/8' }),
    // What is there in the image is copied into a volume: it must not be the machine's (CVE-2022-23648).
    volumes: {
      ...of({ Volumes: { [`${upAndUp}${canary}`]: {}, '/linked': {}, '/etc': {} } }),
      layers: [[{ name: 'linked', type: 'symlink', linkname: canary }]],
    },
    'volume-of-proc': of({ Volumes: { '/proc': {} } }),
    'no-files': { ...of({}), layers: [[{ name: '.wh..wh..opq' }]] },
  }
}

const withImage = (name: string): HostileContainer => ({ name, image: imageName(name) })

/** Of a container that has run, or did not get to: what is told of it. */
const toldOf = (name: string, says: string): RegExp =>
  new RegExp(`^${name}: (?:waiting (?!ContainerCreating)|terminated ).*(?:${says})`, 'm')

const contentsName = 'contents'
const devices = ['dev-sda', 'dev-vda', 'dev-nvme', 'dev-mem', 'dev-port', 'dev-kmsg']

const hugeMegabytes = ({ whole }: Place): number => (whole ? 1024 : 64)

// Their names and what is said of them are the same wherever the canary is.
const toRefuse = Object.entries(unpackable('/anywhere'))
const toTry = Object.keys(configs('/anywhere'))

/** What an image's maker can do to who pulls it. */
export const imageAbuses: readonly Abuse[] = [
  {
    name: 'image-contents',
    prepare: async (place) => {
      const layers = hostileLayers(place.canary, await readFile(place.program))
      await press({ [contentsName]: { layers } }, place)
    },
    containers: ({ canary }) => [
      scripted(
        [
          `cat /out/file /up${canary}/file /root-of-all${canary}/file /hard ${canary}/file 2>/dev/null | grep "${machinesFile}" && echo "LET the machine’s file"`,
          ...devices.map((name) => attempt(name, `head -c 1 /${name} | grep -q .`)),
          'echo over',
        ].join('\n'),
        { image: imageName(contentsName) },
      ),
      {
        name: 'set-uid',
        image: imageName(contentsName),
        command: ['/set-uid', 'rank'],
        securityContext: { runAsUser: 1000, allowPrivilegeEscalation: false },
      },
      {
        name: 'set-uid-allowed',
        image: imageName(contentsName),
        command: ['/set-uid', 'rank'],
        securityContext: { runAsUser: 1000 },
      },
    ],
    contained: [/^over$/m, /^set-uid: effective user \d+/m, /^set-uid-allowed: effective user \d+/m],
    judge: (said) => {
      const rank = (name: string): string =>
        new RegExp(`^${name}: effective user (\\d+)`, 'm').exec(said)?.[1] ?? '?'
      const [held, allowed] = [rank('set-uid'), rank('set-uid-allowed')]
      return {
        bad: [...letThrough(said), ...(held === '1000' ? [] : [`LET set-uid without leave: ${held}`])],
        how: `stays in its own root; set-uid: user ${held} without allowPrivilegeEscalation, ${allowed} with it`,
      }
    },
  },
  {
    name: 'image-unpacked',
    likeAnywhere: true,
    prepare: async (place) => await press(unpackable(place.canary), place),
    containers: () => toRefuse.map(([name]) => withImage(name)),
    contained: toRefuse.map(([name, { says }]) => toldOf(name, says)),
    judge: (said) => ({ bad: letThrough(said), how: `${toRefuse.length} refused, each told of` }),
  },
  {
    name: 'image-config',
    likeAnywhere: true,
    prepare: async (place) => await press(configs(place.canary), place),
    containers: () => toTry.map(withImage),
    contained: toTry.map((name) => toldOf(name, '')),
    judge: (said) => {
      const ran = said.match(/^\S+: terminated Completed/gm)?.length ?? 0
      return {
        bad: letThrough(said),
        how: `${ran} of ${toTry.length} ran and saw nothing, the others told why not`,
      }
    },
  },
  {
    name: 'image-size',
    likeAnywhere: true,
    prepare: async (place) => {
      const zeros: TarEntry = { name: `${basename(place.canary)}-zeros`, zeroMegabytes: hugeMegabytes(place) }
      await press({ zeros: { layers: [[zeros]] } }, place)
    },
    containers: ({ canary }) => [
      scripted(`echo "$(($(stat -c %s /${basename(canary)}-zeros) >> 20)) MiB of zeros"`, {
        image: imageName('zeros'),
      }),
    ],
    contained: [/\d+ MiB of zeros/],
  },
]
