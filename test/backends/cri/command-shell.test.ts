import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CommandShell } from '../../../src/backends/cri/command-shell.ts'

const never = new AbortController().signal

it('runs commands in order, with every argument as it is given', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'spillway-shell-'))
  const shell = new CommandShell()
  const odd = join(directory, `it's "odd" $HOME\nand long`)
  await Promise.all([shell.run('mkdir', [odd], never), shell.run('mkdir', [join(odd, 'inner')], never)])
  expect(await readdir(odd)).toEqual(['inner'])
  shell.close()
  await rm(directory, { recursive: true })
})

it('tells what a command that failed has said, and goes on', async () => {
  const shell = new CommandShell()
  await expect(shell.run('ls', ['/nowhere'], never)).rejects.toMatchObject({
    code: 'Unavailable',
    message: expect.stringMatching(/^ls \/nowhere: .*No such file/) as string,
  })
  await shell.run('true', [], never)
  shell.close()
})

it('starts anew when the shell has died', async () => {
  const shell = new CommandShell()
  await expect(shell.run('exit', ['0'], never)).rejects.toThrow('the shell has ended')
  await shell.run('true', [], never)
  shell.close()
})
