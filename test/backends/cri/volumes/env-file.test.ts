import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { envFileValue, readEnvFile } from '../../../../src/backends/cri/volumes/env-file.ts'

describe('the value of a key in an env file', () => {
  it.each([
    ["A='1'\nB='2'", 'B', '2'],
    ["A='first'\nA='second'", 'A', 'first'],
    ["  \n# A='no'\n\t A='yes' # said so", 'A', 'yes'],
    ["A='one\n  two\nthree'\nB='4'", 'A', 'one\n  two\nthree'],
    ["A='one\r\ntwo'\r\n", 'A', 'one\ntwo'],
    ['A=\'$HOME \\n "x"\'', 'A', '$HOME \\n "x"'],
    ["A='a=b'", 'A', 'a=b'],
    ["A= 'spaced'\nB='2'", 'A', undefined],
    ["A= 'spaced'\nB='2'", 'B', '2'],
    ["A=''", 'A', undefined],
    ["A='1'", 'B', undefined],
    ['', 'A', undefined],
    // What follows the key is not looked at.
    ["A='1'\nnonsense", 'A', '1'],
  ])('of %j under %j is %j', (text, key, value) => expect(envFileValue(text, key)).toBe(value))

  it.each([
    ['A', "line 1: missing '='"],
    ["='1'", 'line 1: empty variable name'],
    ["A ='1'", "line 1: whitespace before '=' is not allowed"],
    ['\nA=1', 'line 2: value must be enclosed in single quotes'],
    ["A='1'B='2'", 'line 1: unexpected content after closing quote'],
    ["A='one\ntwo' three", 'line 2: unexpected content after closing quote'],
    ["B='2'\nA='one\ntwo", 'line 2: unclosed single quote'],
  ])('of %j is an error: %s', (text, told) => {
    expect(() => envFileValue(text, 'A')).toThrow(`invalid environment variable format at ${told}`)
  })

  it('is what was written, whatever that is but a quote', () => {
    const value = fc.stringMatching(/^[^'\r]+$/)
    fc.assert(
      fc.property(value, value, (first, second) => {
        const text = `A='${first}'\n# between\nB='${second}' # after\n`
        expect([envFileValue(text, 'A'), envFileValue(text, 'B')]).toEqual([first, second])
      }),
    )
  })
})

describe('an env file in a volume', () => {
  let folder: string
  let volume: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spillway-env-file-'))
    volume = join(folder, 'volume')
    await mkdir(join(volume, 'settings'), { recursive: true })
    await writeFile(join(folder, 'secret'), "A='secret'")
    await writeFile(join(volume, 'settings/app.env'), "A='1'")
  })

  afterEach(async () => await rm(folder, { recursive: true, force: true }))

  it('is read, also through links that stay in the volume', async () => {
    await symlink('settings/app.env', join(volume, 'current.env'))
    for (const path of ['settings/app.env', 'current.env'])
      expect(await readEnvFile(volume, path)).toBe("A='1'")
  })

  it('is not read where a link leads out of the volume', async () => {
    await symlink('../secret', join(volume, 'out.env'))
    await symlink(folder, join(volume, 'folder'))
    for (const path of ['out.env', 'folder/secret', '../secret'])
      await expect(readEnvFile(volume, path), path).rejects.toThrow('leads out of its volume')
  })

  it('is not waited for when it is none, nor read without end', async () => {
    await promisify(execFile)('mkfifo', [join(volume, 'pipe')])
    await expect(readEnvFile(volume, 'pipe')).rejects.toThrow('is no file')
    await expect(readEnvFile(volume, 'settings')).rejects.toThrow('is no file')
    await writeFile(join(volume, 'long'), Buffer.alloc(1024 * 1024 + 1))
    await expect(readEnvFile(volume, 'long')).rejects.toThrow('longer than 1048576 bytes')
  })
})
