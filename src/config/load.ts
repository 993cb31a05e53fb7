import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseDocument } from 'yaml'
import { errorMessage, SpillwayError } from '../model/errors.ts'
import type { PriceBook } from '../model/price-book.ts'
import {
  checkLedger,
  compileLedger,
  compileLedgerCheck,
  type LedgerCheckConfig,
  type LedgerConfig,
} from './ledger.ts'
import { checkPool, compilePool, type PoolConfig } from './pool.ts'
import { readPriceBookFiles } from './price-book-files.ts'
import { configSchema, type RawConfig } from './schema.ts'
import { validate } from './validate.ts'

/** The configuration as the house uses it: complete, checked, frozen. */
export interface Config {
  readonly clusterName: string
  /** Undefined: in-cluster. */
  readonly kubeconfig: string | undefined
  readonly stateDir: string
  readonly runDir: string
  readonly ledger: LedgerConfig
  readonly ledgerCheck: LedgerCheckConfig
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  readonly nodeApi: {
    readonly address: string
    readonly firstPort: number
    readonly clientCa: string | undefined
    readonly servingCertificate: ServingCertificateSource
  }
  readonly nodeIdentity: NodeIdentity
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  readonly backends: readonly BackendConfig[]
  readonly pools: readonly PoolConfig[]
  /** Besides those that come with Spillway. */
  readonly priceBooks: readonly PriceBook[]
  /** Where the API server asks about Pods and DaemonSets that are made, if people have applied deploy/admission-webhook.yaml. */
  readonly admissionWebhook: { readonly address: string; readonly port: number }
  readonly overflow: { readonly enabled: boolean; readonly deletionCost: number }
  readonly moveBack: {
    readonly enabled: boolean
    readonly afterMs: number
    readonly reservePercent: number
    readonly perMinute: number
    readonly giveUpMs: number
  }
}

export type NodeIdentity =
  | { readonly kind: 'impersonate' }
  | { readonly kind: 'csr' }
  | {
      readonly kind: 'certificate'
      /** File paths, in which `{node}` stands for the node's name. */
      readonly clientCertificate: string
      readonly clientKey: string
    }

export type ServingCertificateSource =
  | { readonly kind: 'csr' }
  | { readonly kind: 'self-signed' }
  /** File paths, in which `{node}` stands for the node's name. */
  | { readonly kind: 'files'; readonly certificate: string; readonly key: string }

export interface BackendConfig {
  readonly name: string
  readonly kind: 'cri' | 'simulator'
  /** Checked by the kind's own schema. */
  readonly options: unknown
}

/** What the command line and the environment may put over the file: flags > SPILLWAY_* > file. */
export interface ConfigOverrides {
  readonly clusterName?: string | undefined
  readonly kubeconfig?: string | undefined
  readonly state?: string | undefined
  readonly run?: string | undefined
  readonly logLevel?: string | undefined
}

export interface ConfigSources {
  readonly file: string
  readonly flags: ConfigOverrides
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Reads and checks everything, and rejects with all errors at once (ConfigInvalid). */
export function loadConfig({ file, flags, environment }: ConfigSources): Config {
  const raw = { ...readYaml(file), ...fromEnvironment(environment), ...defined(flags) }
  const problems = validate(configSchema, raw)
  if (problems.length > 0) throw invalid(file, problems)
  const { books, problems: bookProblems } = readPriceBookFiles(
    (raw as RawConfig).priceBooks ?? [],
    dirname(file),
  )
  const config = { ...compile(raw as RawConfig), priceBooks: books }
  const mismatches = [...checkLedger((raw as RawConfig).ledger), ...crossCheck(config), ...bookProblems]
  if (mismatches.length > 0) throw invalid(file, mismatches)
  return Object.freeze(config)
}

function readYaml(file: string): Record<string, unknown> {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch (error) {
    throw new SpillwayError('ConfigInvalid', `--config ${file}: cannot be read: ${errorMessage(error)}`)
  }
  const document = parseDocument(source)
  if (document.errors.length > 0)
    throw invalid(
      file,
      document.errors.map(({ message }) => message),
    )
  const value: unknown = document.toJS()
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid(file, ['found no fields; a YAML mapping with nodeApi, backends and pools is needed'])
  }
  return value as Record<string, unknown>
}

const environmentNames = {
  SPILLWAY_CLUSTER_NAME: 'clusterName',
  SPILLWAY_KUBECONFIG: 'kubeconfig',
  SPILLWAY_STATE: 'state',
  SPILLWAY_RUN: 'run',
  SPILLWAY_LOG_LEVEL: 'logLevel',
} as const

function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [variable, field] of Object.entries(environmentNames)) {
    const value = environment[variable]
    if (value) found[field] = value
  }
  return found
}

function defined(flags: ConfigOverrides): Record<string, string> {
  return Object.fromEntries(
    Object.entries(flags).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

function compile(raw: RawConfig): Omit<Config, 'priceBooks'> {
  const clusterName = raw.clusterName ?? 'default'
  const stateDir = raw.state ?? `/var/lib/spillway/${clusterName}`
  return {
    clusterName,
    kubeconfig: raw.kubeconfig,
    stateDir,
    runDir: raw.run ?? `/run/spillway/${clusterName}`,
    ledger: compileLedger(raw.ledger, stateDir),
    ledgerCheck: compileLedgerCheck(raw.ledger),
    logLevel: (raw.logLevel as Config['logLevel'] | undefined) ?? 'info',
    nodeApi: {
      address: raw.nodeApi.address,
      firstPort: raw.nodeApi.firstPort ?? 10_260,
      clientCa: raw.nodeApi.clientCa,
      servingCertificate: compileServing(raw.nodeApi.servingCertificate),
    },
    nodeIdentity: compileIdentity(raw.nodeIdentity),
    clusterDns: raw.defaults?.clusterDns ?? ['10.96.0.10'],
    clusterDomain: raw.defaults?.clusterDomain ?? 'cluster.local',
    backends: raw.backends.map(({ name, kind, options }) => ({ name, kind, options: options ?? {} })),
    pools: (raw.pools ?? []).map(compilePool),
    admissionWebhook: {
      address: raw.admissionWebhook?.address ?? raw.nodeApi.address,
      port: raw.admissionWebhook?.port ?? 9443,
    },
    overflow: { enabled: raw.overflow?.enabled ?? true, deletionCost: raw.overflow?.deletionCost ?? -1000 },
    moveBack: compileMoveBack(raw.moveBack),
  }
}

function compileMoveBack(raw: RawConfig['moveBack'] = {}): Config['moveBack'] {
  return {
    enabled: raw.enabled ?? false,
    afterMs: (raw.afterSeconds ?? 300) * 1000,
    reservePercent: raw.reservePercent ?? 10,
    perMinute: raw.perMinute ?? 6,
    giveUpMs: (raw.giveUpAfterSeconds ?? 300) * 1000,
  }
}

function compileIdentity(raw: RawConfig['nodeIdentity']): NodeIdentity {
  if (raw === undefined || raw === 'impersonate') return { kind: 'impersonate' }
  if (raw === 'csr') return { kind: 'csr' }
  const { clientCertificate, clientKey } = raw
  return { kind: 'certificate', clientCertificate, clientKey }
}

function compileServing(raw: RawConfig['nodeApi']['servingCertificate']): ServingCertificateSource {
  if (raw === undefined || typeof raw === 'string') return { kind: raw ?? 'csr' }
  return { kind: 'files', ...raw }
}

/** What no schema can see: names that must be unique, or must exist. */
function crossCheck({ backends, pools }: Pick<Config, 'backends' | 'pools'>): string[] {
  const problems = [...duplicates('backends', backends), ...duplicates('pools', pools)]
  const known = backends.map(({ name }) => name)
  for (const [index, pool] of pools.entries()) {
    problems.push(...checkPool(pool, known).map((problem) => `pools[${index}].${problem}`))
  }
  return problems
}

function duplicates(field: string, named: readonly { readonly name: string }[]): string[] {
  return named.flatMap(({ name }, index) =>
    named.findIndex((other) => other.name === name) < index
      ? [`${field}[${index}].name: "${name}" is taken already`]
      : [],
  )
}

function invalid(file: string, problems: readonly string[]): SpillwayError {
  return new SpillwayError(
    'ConfigInvalid',
    `${file}:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
  )
}
