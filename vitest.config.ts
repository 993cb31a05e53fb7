import { defineConfig } from 'vitest/config'

// Where nobody looks on, a test on real components gets a second try; the report says which needed it ("retry x1").
const secondTry = process.env['CI'] ? 1 : 0

// On a PostgreSQL server that they start, and with many openings of ledgers: more than `check` has the time for.
const onPostgres = ['test/billing/store/postgres.test.ts', 'test/billing/store/ledger-backup.test.ts']

// Against what hangs; how fast a machine is, is no test's business.
const testTimeout = 60_000

const setupFiles = ['test/support/property-seed.ts']

// V8 may abort the process when it frees compiled WebAssembly ("Check failed: jit_page.has_value()", nodejs/node#64500), and
// each thread that is started and ended leaves some: Node strips types by it. bin/spillway.mjs does the same.
const execArgv = ['--no-wasm-code-gc']

// It builds a firewall for minutes: `npm run security` has it.
const buildsFirewall = 'test/stories/network-policy.test.ts'

// Projects by cost: `check` and `postgres` need nothing, `journeys` needs the control-plane binaries, `e2e` needs root, `stories`
// share one embedded cluster. test/run.ts chooses.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'check',
          setupFiles,
          execArgv,
          // Twice as fast: a file is read once, and not for each test file that uses it. No module keeps state of its own.
          isolate: false,
          // Of two cores vitest would use one; many tests wait for a disk.
          maxWorkers: '100%',
          testTimeout,
          include: ['test/**/*.test.ts'],
          exclude: ['test/journeys/**', 'test/e2e/**', 'test/stories/**', ...onPostgres],
        },
      },
      {
        test: {
          name: 'postgres',
          setupFiles,
          execArgv,
          testTimeout,
          include: onPostgres,
        },
      },
      {
        test: {
          name: 'journeys',
          setupFiles,
          execArgv,
          retry: secondTry,
          include: ['test/journeys/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          setupFiles,
          execArgv,
          retry: secondTry,
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'stories',
          setupFiles,
          execArgv,
          retry: secondTry,
          include: ['test/stories/**/*.test.ts'],
          exclude: process.env['SPILLWAY_SECURITY'] ? [] : [buildsFirewall],
          globalSetup: ['test/support/shared-cluster.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
