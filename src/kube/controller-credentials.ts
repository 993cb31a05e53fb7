import type { Clock } from '../model/clock.ts'
import { inClusterCredentials, type Credentials, type Impersonation } from './credentials.ts'
import { loadKubeconfig } from './kubeconfig.ts'

export interface ControllerCredentialsOptions {
  /** Undefined: the ServiceAccount of the Pod that we run in. */
  readonly kubeconfig: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly impersonate?: Impersonation
}

const serviceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Who the controller is: a kubeconfig, or the cluster around us. Rejects with ConfigInvalid. */
export async function controllerCredentials(
  { kubeconfig, environment, clock, impersonate }: ControllerCredentialsOptions,
  signal: AbortSignal,
): Promise<Credentials> {
  const common = { environment, clock, ...(impersonate && { impersonate }) }
  return kubeconfig === undefined
    ? await inClusterCredentials({ directory: serviceAccountDir, ...common }, signal)
    : await loadKubeconfig({ path: kubeconfig, ...common }, signal)
}
