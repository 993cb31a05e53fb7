#!/usr/bin/env node
// Runs on any Node ≥ 20: hands over to the Node 24 that the npm package `node` carries, which runs the .ts sources
// unbuilt. A release has dist/main.js, since type stripping refuses files under node_modules.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const main = [join(root, 'dist/src/main.js'), join(root, 'src/main.ts')].find(existsSync)
const bundled = join(root, 'node_modules/node/bin/node')
const [major = 0] = process.versions.node.split('.').map(Number)

if (major >= 24) {
  // V8 may abort the process when it frees compiled WebAssembly ("Check failed: jit_page.has_value()", nodejs/node#64500),
  // which the ledger's thread leaves when it is started anew. There is a megabyte of it at most: nothing is lost by keeping it.
  setFlagsFromString('--no-wasm-code-gc')
  const { runMain } = await import(pathToFileURL(main).href)
  await runMain(process.argv.slice(2))
} else {
  if (!existsSync(bundled)) {
    process.stderr.write('spillway: dependencies are not installed: run "npm ci" first\n')
    process.exit(1)
  }
  const child = spawn(bundled, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  // The terminal sends Ctrl-C to both; what comes from elsewhere is passed on, and the child's end is ours.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('error', (error) => {
    process.stderr.write(`spillway: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
}
