// Runs before every npm script, on any Node ≥ 20 and with nothing installed: makes `npm test` work on a fresh clone.
// Compares the lockfile with what is installed instead of only looking for node_modules, so that a pull that changes a
// dependency is noticed.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [major = 0] = process.versions.node.split('.').map(Number)

if (major < 20)
  fail(
    `Node ${process.versions.node} is too old: Spillway needs Node 20 or newer (apt-get install nodejs, or nodejs.org).`,
  )

if (!isInstalled()) {
  process.stderr.write('spillway: installing npm dependencies (once, about half a minute)\n')
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', process.stderr, process.stderr],
  })
  if (error) fail(`npm could not be run (${error.message}): install npm 10 or newer.`)
  if (status !== 0) fail(`"npm ci" failed with exit code ${status}: see its output above.`)
  if (!existsSync(join(root, 'node_modules/node/bin/node'))) {
    fail(
      'The package "node" did not install its runtime: run "npm config set ignore-scripts false" and "npm ci".',
    )
  }
}

function isInstalled() {
  if (!existsSync(join(root, 'node_modules/node/bin/node'))) return false
  const wanted = readPackages('package-lock.json')
  const present = readPackages('node_modules/.package-lock.json')
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true
    const found = present[path]
    return found ? found.version === version : Boolean(optional)
  })
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8')).packages ?? {}
  } catch {
    return {}
  }
}

function fail(message) {
  process.stderr.write(`spillway: ${message}\n`)
  process.exit(1)
}
