import { readFileSync } from 'node:fs'
import type { Component } from '../components.ts'

// Of gVisor's branch for Go's own tools; newer commits ask for more than module proxies have.
const version = 'v0.0.0-20260701204157-69c2d17aea96'
const gvisorModule = 'gvisor.dev/gvisor'

/** The kernel of its own that a sandbox gets. */
export const gvisor: Component = {
  name: 'gvisor',
  version,
  module: gvisorModule,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: { [`${gvisorModule}/runsc/version.version`]: version },
  diskMegabytes: 900,
  // Without arguments for its version: a release of upstream's calls itself by a date, which compares with nothing.
  steps: [{ weightSeconds: 109, binaries: [{ name: 'runsc', package: `${gvisorModule}/runsc` }] }],
}

/** What containerd starts it by: a main of our own over upstream's packages, in a module apart from containerd's. */
export const gvisorShim: Component = {
  name: 'gvisor-shim',
  version,
  module: gvisorModule,
  modulePlan: 'plain',
  tags: [],
  linkerVariables: {},
  mainSource: readFileSync(new URL('containerd-shim.go', import.meta.url), 'utf8'),
  diskMegabytes: 400,
  steps: [{ weightSeconds: 77, binaries: [{ name: 'containerd-shim-runsc-v1' }] }],
}
