import { join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import type { Environment, Invoker } from './cache-dir.ts'
import type { CommandResult } from './command.ts'
import { outputTail, runCommand } from './command.ts'
import { findProgram, searchPath } from './find-program.ts'
import type { Version } from './version.ts'
import { findVersion, isAtLeast } from './version.ts'

/** What containerd's go.mod asks for, the highest of all. */
export const minimumGo: Version = [1, 26, 6]

export interface GoToolchain {
  readonly path: string
  readonly environment: Environment
  readonly runAs: Invoker['runAs']
  /** GOCACHE and GOMODCACHE: where a build takes disk space. */
  readonly buildCacheDir: string
  readonly moduleCacheDir: string
  readonly proxy: string
}

/** Finds a Go that is new enough. Rejects with `Environment`, one sentence with the remedy. */
export async function findGo(
  environment: Environment,
  invoker: Invoker,
  signal: AbortSignal,
): Promise<GoToolchain> {
  // sudo keeps a PATH of its own, without the folder that Go's installation guide names.
  const usualDirs = ['/usr/local/go/bin', '/usr/lib/go/bin', join(invoker.home, 'go/bin'), '/snap/bin']
  let tooOld: string | undefined
  for (const dir of new Set([...searchPath(environment), ...usualDirs])) {
    const path = await findProgram('go', [dir])
    if (path === undefined) continue
    const { version, toolchain } = await askGo(path, environment, invoker, signal)
    // The distribution's old one may come first on PATH, before a new one that was installed because of it.
    if (isAtLeast(findVersion(version), minimumGo)) return toolchain
    tooOld ??= `${version} at ${path}`
  }
  throw new SpillwayError('Environment', noGoSentence(tooOld))
}

async function askGo(
  path: string,
  environment: Environment,
  invoker: Invoker,
  signal: AbortSignal,
): Promise<{ readonly version: string; readonly toolchain: GoToolchain }> {
  const options = {
    environment: goEnvironment(environment, invoker),
    runAs: invoker.runAs,
    timeoutMs: 60_000,
  }
  // "/": a go.mod where we stand would have a say in which toolchain answers.
  const args = ['env', '-json', 'GOVERSION', 'GOCACHE', 'GOMODCACHE', 'GOPROXY']
  const result = await runCommand(path, args, { ...options, workingDir: '/' }, signal)
  if (result.exitCode !== 0) {
    throw new SpillwayError('Environment', `"${path} env" fails: ${outputTail(result.stderr)}`)
  }
  const values = JSON.parse(result.stdout) as Partial<Record<string, string>>
  return {
    version: values['GOVERSION'] ?? 'of unknown version',
    toolchain: {
      path,
      environment: options.environment,
      runAs: options.runAs,
      buildCacheDir: values['GOCACHE'] ?? '',
      moduleCacheDir: values['GOMODCACHE'] ?? '',
      proxy: values['GOPROXY'] ?? '',
    },
  }
}

/** The sentence for a machine without Go, or with the Go described. */
export function noGoSentence(found: string | undefined): string {
  const minimum = minimumGo.join('.')
  const what = found === undefined ? 'Go is not installed' : `Go is too old (${found})`
  return `${what}: building the Kubernetes programs needs Go ${minimum} or newer; install it from https://go.dev/doc/install so that /usr/local/go/bin/go exists, and run this again.`
}

function goEnvironment(environment: Environment, invoker: Invoker): Environment {
  return {
    ...environment,
    HOME: invoker.home,
    // As plain files as can be: no C compiler needed, no clone's version stamped in, no foreign workspace or target.
    CGO_ENABLED: '0',
    GOFLAGS: '-buildvcs=false -mod=mod',
    GO111MODULE: 'on',
    GOWORK: 'off',
    GOOS: undefined,
    GOARCH: undefined,
  }
}

/** Runs `go` in a module's folder. Rejects with `Environment` when it fails, telling a dead proxy from a broken build. */
export async function runGo(
  go: GoToolchain,
  args: readonly string[],
  options: { readonly moduleDir: string; readonly temporaryDir: string },
  signal: AbortSignal,
): Promise<CommandResult> {
  const result = await runCommand(
    go.path,
    args,
    {
      // Not /tmp: a linker needs hundreds of megabytes, more than a /tmp in memory may have.
      environment: { ...go.environment, GOTMPDIR: options.temporaryDir },
      workingDir: options.moduleDir,
      runAs: go.runAs,
    },
    signal,
  )
  if (result.exitCode === 0) return result
  throw new SpillwayError('Environment', goFailureSentence(args, result.stderr, go.proxy))
}

const unreachable =
  /dial tcp|no such host|i\/o timeout|connection refused|connection reset|TLS handshake|network is unreachable|server misbehaving|50[234] /

/** The sentence for a failed `go`, with the end of what it said. */
export function goFailureSentence(args: readonly string[], stderr: string, proxy: string): string {
  const tail = outputTail(stderr)
  if (unreachable.test(stderr)) {
    return `The Go module proxy (GOPROXY=${proxy}) cannot be reached: check the network, or set GOPROXY to one that can be, and run this again. Go said:\n${tail}`
  }
  if (/no space left on device/.test(stderr)) {
    return `The disk became full while building: free some space and run this again. Go said:\n${tail}`
  }
  return `"go ${args[0] ?? ''} … ${args.at(-1) ?? ''}" failed. Go said:\n${tail}`
}
