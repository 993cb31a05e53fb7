import { basename } from 'node:path'
import type { TarEntry } from './press-image.ts'

/** What the file of the machine says. */
export const machinesFile = 'of the machine'

/** Out of any folder. */
export const upAndUp = '../../../../../../../../../../../..'

/**
 * Layers that try to write to the machine and to have of it: each name has the canary's last part in it, by which what came
 * out is found. `program` is made set-uid.
 */
export function hostileLayers(canary: string, program: Buffer): readonly (readonly TarEntry[])[] {
  const trace = basename(canary)
  const note = (name: string): TarEntry => ({ name, content: 'of the image' })
  const link = (name: string, linkname: string): TarEntry => ({ name, type: 'symlink', linkname })
  const block = (name: string, major: number, minor: number): TarEntry => ({
    name,
    type: 'block-device',
    device: [major, minor],
  })
  const character = (name: string, minor: number): TarEntry => ({
    name,
    type: 'character-device',
    device: [1, minor],
  })
  const paths = [
    note(`${upAndUp}${canary}/file`),
    note(`${canary}/absolute-${trace}`),
    note(`../${trace}-up`),
    note(`a/../../../${trace}-dots`),
    note(`/${trace}-absolute`),
    note(`././/${trace}-slashes`),
  ]
  const links = [
    link('out', canary),
    note(`out/${trace}-by-link`),
    link('root-of-all', '/'),
    note(`root-of-all/etc/${trace}-by-root`),
    link('up', upAndUp),
    note(`up${canary}/${trace}-by-up`),
    link('chain', 'up/../out/..'),
    note(`chain/${trace}-by-chain`),
    { name: 'hard', type: 'link', linkname: `${upAndUp}${canary}/file` },
    { name: 'hard-by-link', type: 'link', linkname: `out/${trace}-by-link` },
    note('hard-by-link'),
  ] satisfies TarEntry[]
  const devices: readonly TarEntry[] = [
    block('dev-sda', 8, 0),
    block('dev-vda', 254, 0),
    block('dev-nvme', 259, 0),
    character('dev-mem', 1),
    character('dev-port', 4),
    character('dev-kmsg', 11),
    { name: 'pipe', type: 'fifo' },
    { name: 'set-uid', content: program, mode: 0o6755 },
  ]
  // What the layer below has as links, this one goes on through, and takes away what is behind them.
  const second = [
    note(`out/file`),
    note(`root-of-all/etc/${trace}-second`),
    note(`up/${trace}-second`),
    note(`${upAndUp}${canary}/.wh.file`),
    note(`root-of-all${canary}/.wh.file`),
    note('etc/.wh..wh..opq'),
    note('up/.wh.nothing'),
  ]
  return [[...paths, ...links, ...devices], second]
}
