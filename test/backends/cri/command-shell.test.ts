import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
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

it('answers with what a command has said, of whatever length', async () => {
  const shell = new CommandShell()
  expect(await shell.read('printf', ['%s\\n', 'one', 'two'], never)).toBe('one\ntwo\n')
  const long = 'x'.repeat(300_000)
  await shell.feed({ command: 'cat', args: [], input: long }, never)
  expect(await shell.read('true', [], never)).toBe('')
  shell.close()
})

it('feeds a command a text as it is, and tells what it says of it', async () => {
  const shell = new CommandShell()
  const odd = `it's %s \\n "odd"\n$HOME`
  const isOdd = `[ "$(cat)" = "$0" ]`
  await shell.feed({ command: 'sh', args: ['-c', isOdd, odd], input: odd }, never)
  const failing = { command: 'sh', args: ['-c', 'cat >&2; exit 3'], input: 'no such rule' }
  await expect(shell.feed(failing, never)).rejects.toThrow('no such rule')
  await expect(shell.feed({ command: 'no-such-program', args: [], input: long() }, never)).rejects.toThrow(
    'not found',
  )
  await shell.run('true', [], never)
  shell.close()
})

/** More than a pipe holds: nobody reads it. */
function long(): string {
  return 'y'.repeat(200_000)
}

it('keeps a process that has nothing else to do until the answer is there, and then no longer', async () => {
  const url = new URL('../../../src/backends/cri/command-shell.ts', import.meta.url).href
  const program = `
    const { CommandShell } = await import(${JSON.stringify(url)})
    const never = new AbortController().signal
    console.log(await new CommandShell().read('sh', ['-c', 'sleep 0.2; echo answered'], never))`
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  expect(stdout.trim()).toBe('answered')
})
