/** The architect: the rule between the rooms, the bans, the ratchet on length, dead files, docs tied to code. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { criOptionsSchema } from '../src/backends/cri/config.ts'
import { configFields } from '../src/config/reference.ts'
import { configSchema } from '../src/config/schema.ts'
import { errorTable } from '../src/model/errors.ts'
import { version } from '../src/model/version.ts'

const root = join(import.meta.dirname, '..')
const sources = globSync('src/**/*.ts', { cwd: root }).sort()
const tests = globSync('test/**/*.ts', { cwd: root }).sort()
const text = new Map([...sources, ...tests].map((file) => [file, readFileSync(join(root, file), 'utf8')]))

const ground = ['model']
const lower = ['config', 'telemetry', 'kube', 'control', 'lifecycle']
const upper = [
  'backends',
  'node',
  'pods',
  'kubelet-api',
  'scheduling',
  'webhook',
  'pools',
  'billing',
  'console',
]
/** They put the house together, or stand beside it: they may import anything below. */
const top = ['cli', 'dev-cluster', 'app', 'app.ts', 'main.ts']

function roomOf(file: string): string {
  return file.split('/')[1] ?? ''
}

function importsOf(file: string): string[] {
  const found: string[] = []
  for (const match of (text.get(file) ?? '').matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)) {
    found.push(normalize(join(dirname(file), match[1] ?? '')))
  }
  // Worker threads and child processes are reached by URL.
  for (const match of (text.get(file) ?? '').matchAll(/new URL\(\s*'(\.{1,2}\/[^']+\.ts)'/g)) {
    found.push(normalize(join(dirname(file), match[1] ?? '')))
  }
  return found
}

function mayImport(from: string, to: string): boolean {
  const [a, b] = [roomOf(from), roomOf(to)]
  if (a === b) return a !== 'backends' || mayImportBackend(from, to)
  if (a === 'app.ts' || a === 'main.ts') return true
  if (a === 'app') return !top.includes(b)
  if (top.includes(a)) return !['app', 'app.ts', 'main.ts'].includes(b) || (a === 'cli' && b === 'app.ts')
  if (ground.includes(a)) return false
  if (lower.includes(a)) return ground.includes(b) || b === 'telemetry'
  if (upper.includes(a)) return ground.includes(b) || lower.includes(b) || to === 'src/backends/backend.ts'
  return false
}

/** Inside backends/ each kind is a room of its own. */
function mayImportBackend(from: string, to: string): boolean {
  const [a, b] = [from.split('/')[2], to.split('/')[2]]
  return a === b || to === 'src/backends/backend.ts' || from === 'src/backends/registry.ts'
}

describe('the rooms', () => {
  test('every folder under src is a room of the design', () => {
    const known = [...ground, ...lower, ...upper, ...top]
    expect(sources.filter((file) => !known.includes(roomOf(file)))).toEqual([])
  })

  test('imports keep to the rule', () => {
    const broken = sources.flatMap((file) =>
      importsOf(file)
        .filter((target) => target.startsWith('src/') && !mayImport(file, target))
        .map((target) => `${file} imports ${target}: rooms meet in app.ts, see CONTRIBUTING.md`),
    )
    expect(broken).toEqual([])
  })

  test('every import of ours exists', () => {
    const missing = [...sources, ...tests].flatMap((file) =>
      importsOf(file)
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${file} → ${target}`),
    )
    expect(missing).toEqual([])
  })

  test('every source file is reached from main.ts', () => {
    const reached = new Set<string>()
    const visit = (file: string): void => {
      if (reached.has(file) || !text.has(file)) return
      reached.add(file)
      importsOf(file).forEach(visit)
    }
    visit('src/main.ts')
    // The reference page is made from it, by the last test of this file.
    visit('src/config/reference.ts')
    // deploy/crds is made from it, by its own test.
    visit('src/pools/pool-definition.ts')
    visit('src/scheduling/burst/burst-definitions.ts')
    expect(sources.filter((file) => !reached.has(file))).toEqual([])
  })
})

/** What is banned, what takes its place, and the files that are that place. */
const bans: readonly { pattern: RegExp; use: string; allowed: readonly string[] }[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/,
    use: 'Clock',
    allowed: ['src/model/clock.ts'],
  },
  {
    pattern: /\b(setTimeout|setInterval|setImmediate)\(/,
    use: 'Clock.sleep or Clock.timer',
    allowed: ['src/model/clock.ts'],
  },
  { pattern: /\bMath\.random\b/, use: 'the injected random', allowed: ['src/main.ts'] },
  { pattern: /\bprocess\.env\b/, use: 'the injected environment', allowed: ['src/main.ts'] },
  { pattern: /\bconsole\.\w+\(/, use: 'the log, or the command’s output', allowed: [] },
  { pattern: /(?<![.\w])fetch\(/, use: 'kube/client.ts, or undici', allowed: [] },
  { pattern: /\bFIXME\b|\bXXX\b/, use: 'an issue note', allowed: [] },
  { pattern: /\bas any\b|: any\b/, use: 'unknown, narrowed at the edge', allowed: [] },
]

describe('the bans', () => {
  test.each(bans)('$pattern has its place: $use', ({ pattern, use, allowed }) => {
    const broken = sources
      .filter((file) => !allowed.includes(file))
      .flatMap((file) =>
        (text.get(file) ?? '')
          .split('\n')
          .map((line, index) => ({ line: line.replace(/^\s*(\/\/|\*|\/\*).*$/, ''), number: index + 1 }))
          .filter(({ line }) => pattern.test(line))
          .map(({ number }) => `${file}:${number}: use ${use}`),
      )
    expect(broken).toEqual([])
  })

  test('nothing but backends has an index, and nothing is called utils, helpers, common or manager', () => {
    const named = sources.filter((file) => /(^|\/)(utils?|helpers?|common|.*manager|index)\.ts$/.test(file))
    expect(named).toEqual([])
  })

  test('no test is skipped without a printed reason', () => {
    const skipped = tests.filter(
      (file) =>
        file !== 'test/tidy.test.ts' && /\b(test|it|describe)\.(skip|todo|only)\(/.test(text.get(file) ?? ''),
    )
    expect(skipped).toEqual([])
  })
})

describe('the ratchet', () => {
  const longest = 400
  /** Data, not code. */
  const exempt = [/^src\/billing\/price-books\//, /\/golden\//]

  test(`no file is longer than ${longest} lines`, () => {
    const long = [...sources, ...tests]
      .filter((file) => !exempt.some((pattern) => pattern.test(file)))
      .map((file) => ({ file, lines: (text.get(file) ?? '').split('\n').length - 1 }))
      .filter(({ file, lines }) => lines > (file.startsWith('src/') ? longest : longest * 2))
    expect(long).toEqual([])
  })

  test('every test file mirrors a source file or a room of tests', () => {
    const free = ['conformance', 'journeys', 'e2e', 'stories', 'support', 'bin']
    const orphans = tests
      .filter((file) => file.endsWith('.test.ts') && file !== 'test/tidy.test.ts')
      .filter((file) => !free.includes(file.split('/')[1] ?? ''))
      .filter((file) => {
        const mirrored = file.replace(/^test\//, 'src/').replace(/\.test\.ts$/, '')
        return !existsSync(join(root, `${mirrored}.ts`)) && !existsSync(join(root, mirrored))
      })
    expect(orphans).toEqual([])
  })
})

describe('the docs', () => {
  const docs = globSync('{docs/**/*.md,README.md,CONTRIBUTING.md}', { cwd: root })

  test('every path that they name exists', () => {
    const missing = docs.flatMap((file) =>
      [
        ...readFileSync(join(root, file), 'utf8').matchAll(
          /`((?:src|test|bench|docs|bin|deploy|examples)\/[\w./-]+\.\w+)`/g,
        ),
      ]
        .map((match) => match[1] ?? '')
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${file} names ${path}`),
    )
    expect(missing).toEqual([])
  })

  test('their links lead somewhere', () => {
    const broken = docs.flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)/g)]
        .map((match) => match[1] ?? '')
        .filter((path) => !existsSync(join(root, dirname(file), path)))
        .map((path) => `${relative('.', file)} links ${path}`),
    )
    expect(broken).toEqual([])
  })

  test('docs/reference/errors.md lists the error table, all of it and nothing else', () => {
    const page = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8')
    const listed = [...page.matchAll(/^\| `(\w+)` \| (.+?) \| (yes|no) \|/gm)].map((row) => row.slice(1, 4))
    const table = Object.entries(errorTable).map(([code, { sentence, retry }]) => [
      code,
      sentence,
      retry ? 'yes' : 'no',
    ])
    expect(listed).toEqual(table)
  })

  test('docs/reference/config.md lists every field of the configuration with its meaning', () => {
    const page = readFileSync(join(root, 'docs/reference/config.md'), 'utf8')
    const listed = [...page.matchAll(/^\| `([^`]+)` \| (yes|no) \| (.*) \|$/gm)].map((row) => row.slice(1, 4))
    const fields = [...configFields(configSchema), ...configFields(criOptionsSchema)]
    expect(listed).toEqual(
      fields.map(({ path, required, description }) => [path, required ? 'yes' : 'no', description]),
    )
  })

  test('the version is that of package.json', () => {
    const { version: published } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      version: string
    }
    expect(version).toBe(published)
  })
})
