import { SpillwayError } from '../model/errors.ts'
import type { Component } from './components.ts'

/** The language version of modules that we write; the components' own go.mod files rule their packages. */
const goLine = '1.26.0'

/** go.mod of a module that only requires the component. `-mod=mod` completes it with what the component requires. */
export function plainGoMod(component: Component): string {
  const require = component.module === undefined ? '' : `\nrequire ${component.module} ${component.version}\n`
  return `module spillway-build\n\ngo ${goLine}\n${require}`
}

/**
 * go.mod for building programs of `k8s.io/kubernetes` from outside its repository. Kubernetes requires its staging
 * modules at v0.0.0 and replaces them by folders beside it; replacements do not count for those who depend on a module,
 * so every requirement is copied and every staging module is replaced by its published release, v1.X.Y → v0.X.Y.
 * The replacements name no version, because modules in between ask for v0.0.0 too. So are its settings of Go's run
 * time: those of the main module count, and old code is not meant to run with new ones.
 * Samples are replaced and not required: a requirement of ours is fetched whoever needs it, only upstream's tests import
 * one, and proxies do not have all of their releases.
 */
export function kubernetesGoMod(upstreamGoMod: string, kubernetesVersion: string): string {
  const upstream = parseGoMod(upstreamGoMod)
  const stagingVersion = kubernetesVersion.replace(/^v1\./, 'v0.')
  const staging = new Set(upstream.stagingModules)
  const required = upstream.stagingModules.filter((path) => !path.startsWith('k8s.io/sample-'))
  if (staging.size === 0 || upstream.requirements.length === 0) {
    throw new SpillwayError(
      'Environment',
      `go.mod of k8s.io/kubernetes ${kubernetesVersion} has ${upstream.requirements.length} requirements and ${staging.size} staging modules: it is not laid out as expected`,
    )
  }
  const foreign = upstream.requirements.filter(({ path }) => !staging.has(path))
  return [
    'module spillway-build',
    '',
    `go ${upstream.goVersion ?? goLine}`,
    '',
    ...upstream.godebug.flatMap((setting) => [`godebug ${setting}`, '']),
    'require (',
    `\tk8s.io/kubernetes ${kubernetesVersion}`,
    ...required.map((path) => `\t${path} ${stagingVersion}`),
    ...foreign.map(({ path, version }) => `\t${path} ${version}`),
    ')',
    '',
    'replace (',
    ...upstream.stagingModules.map((path) => `\t${path} => ${path} ${stagingVersion}`),
    ')',
    '',
  ].join('\n')
}

interface GoMod {
  readonly goVersion: string | undefined
  /** As in `default=go1.24`. */
  readonly godebug: readonly string[]
  readonly requirements: readonly { readonly path: string; readonly version: string }[]
  /** Modules replaced by a folder under ./staging. */
  readonly stagingModules: readonly string[]
}

/** Reads the four directives that matter here, in a block or on a line of their own. */
function parseGoMod(text: string): GoMod {
  const requirements: { path: string; version: string }[] = []
  const stagingModules: string[] = []
  const godebug: string[] = []
  let goVersion: string | undefined
  let block: string | undefined
  for (const line of text.split('\n')) {
    const words = line
      .replace(/\/\/.*/, '')
      .trim()
      .split(/\s+/)
    const directive = block ?? words.shift()
    if (block !== undefined && words[0] === ')') block = undefined
    else if (block === undefined && words[0] === '(') block = directive
    else if (directive === 'go') goVersion = words[0]
    else if (directive === 'godebug' && words[0] !== undefined) godebug.push(words[0])
    else if (directive === 'require' && words[0] !== undefined && words[1] !== undefined) {
      requirements.push({ path: words[0], version: words[1] })
    } else if (directive === 'replace' && words[0] !== undefined && words.at(-1)?.startsWith('./staging/')) {
      stagingModules.push(words[0])
    }
  }
  return { goVersion, godebug, requirements, stagingModules }
}
