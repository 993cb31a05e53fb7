import { defineConfig } from 'vitest/config'

// Projects by cost: `check` needs nothing, `journeys` needs the control-plane binaries, `e2e` needs root, `stories`
// share one embedded cluster. test/run.ts chooses.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'check',
          include: ['test/**/*.test.ts'],
          exclude: ['test/journeys/**', 'test/e2e/**', 'test/stories/**'],
        },
      },
      {
        test: {
          name: 'journeys',
          include: ['test/journeys/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'stories',
          include: ['test/stories/**/*.test.ts'],
          globalSetup: ['test/support/shared-cluster.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
