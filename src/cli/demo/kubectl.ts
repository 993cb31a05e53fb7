import { spawn } from 'node:child_process'

export interface KubectlResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the real kubectl, as a user would. Never rejects for its exit code. */
export async function kubectl(
  { binary, kubeconfig }: { readonly binary: string; readonly kubeconfig: string },
  args: readonly string[],
  signal: AbortSignal,
): Promise<KubectlResult> {
  const { promise, resolve, reject } = Promise.withResolvers<KubectlResult>()
  const child = spawn(binary, [`--kubeconfig=${kubeconfig}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  child.on('error', reject)
  child.on('close', (code) => resolve({ code: code ?? 1, ...output }))
  return await promise
}
