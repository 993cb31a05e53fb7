import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SpillwayError } from '../model/errors.ts'
import { outputTail, runCommand, type CommandOptions } from './command.ts'
import { metricsServerManifests, type BinaryName } from './components.ts'
import type { EmbeddedCluster } from './embedded-cluster.ts'
import type { ImageRecipe } from './image-recipe.ts'
import { writeJsonIfChanged } from './write-if-changed.ts'

/** Upstream's image: the program and nothing else. */
export const metricsServerImage: ImageRecipe = {
  name: 'registry.k8s.io/metrics-server/metrics-server:v0.8.0',
  revision: 1,
  binaries: ['metrics-server'],
  weightSeconds: 3,
  content: async (sources) => ({
    layers: [
      [
        { kind: 'file', path: 'metrics-server', source: sources.path('metrics-server'), mode: 0o755 },
        { kind: 'dir', path: 'tmp', mode: 0o1777 },
      ],
    ],
    config: { Entrypoint: ['/metrics-server'], User: '65534' },
  }),
}

export interface InstallMetricsServer {
  readonly cluster: Pick<EmbeddedCluster, 'stateDir' | 'kubeconfig' | 'serverNode'>
  readonly binaries: ReadonlyMap<BinaryName | 'runc', string>
  readonly command: CommandOptions
}

/**
 * Applies upstream's own manifests, as they came with its source, through an overlay as users write it. It answers
 * `kubectl top` when it has asked every node twice: half a minute later. Rejects with `Environment` and kubectl's words.
 */
export async function installMetricsServer(
  { cluster, binaries, command }: InstallMetricsServer,
  signal: AbortSignal,
): Promise<void> {
  const [kubectl, program] = [binaries.get('kubectl'), binaries.get('metrics-server')]
  if (kubectl === undefined || program === undefined) {
    throw new Error('installMetricsServer needs kubectl and metrics-server')
  }
  const dir = join(cluster.stateDir, 'metrics-server')
  const base = join(dir, 'base')
  await mkdir(base, { recursive: true })
  for (const file of metricsServerManifests) await copyFile(join(dirname(program), file), join(base, file))
  await writeJsonIfChanged(join(dir, 'kustomization.yaml'), overlay(cluster))
  const args = [`--kubeconfig=${cluster.kubeconfig}`, 'apply', '-k', dir]
  const { exitCode, stderr } = await runCommand(kubectl, args, { ...command, timeoutMs: 60_000 }, signal)
  if (exitCode !== 0) {
    throw new SpillwayError('Environment', `metrics-server could not be installed: ${outputTail(stderr)}`)
  }
}

function overlay({ serverNode }: Pick<EmbeddedCluster, 'serverNode'>): object {
  const [newName = '', newTag = ''] = metricsServerImage.name.split(':')
  const container = '/spec/template/spec/containers/0'
  const verify = {
    op: 'add',
    path: `${container}/args/-`,
    // Every node of the cluster serves with a certificate that the cluster's authority signed.
    value: '--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  }
  const tolerate = {
    op: 'add',
    path: '/spec/template/spec/tolerations',
    value: [{ operator: 'Exists', effect: 'NoSchedule' }],
  }
  return {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: ['base'],
    images: [{ name: 'gcr.io/k8s-staging-metrics-server/metrics-server', newName, newTag }],
    patches: [
      {
        target: { kind: 'Deployment', name: 'metrics-server' },
        // Without a server it has nowhere else to go.
        patch: JSON.stringify(serverNode === undefined ? [verify, tolerate] : [verify]),
      },
    ],
  }
}
