import type { Secret } from '../../../model/kubernetes.ts'
import { credentialsFor, type Credential } from './image-credentials.ts'
import { parseImageName } from './image-name.ts'
import type { ImageRequest } from './image-request.ts'

/** The logins that the Pod brings along for the image. Rejects with Rejected when one of its Secrets cannot be read. */
export async function pullCredentials(
  { pod, container, sources, tell }: ImageRequest,
  signal: AbortSignal,
): Promise<readonly Credential[]> {
  const secrets: Secret[] = []
  const missing: string[] = []
  for (const { name } of pod.spec?.imagePullSecrets ?? []) {
    if (!name) continue
    const secret = await sources.secret(name, signal)
    if (secret) secrets.push(secret)
    else missing.push(name)
  }
  if (missing.length > 0) {
    tell({
      type: 'Warning',
      reason: 'FailedToRetrieveImagePullSecret',
      message: `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
    })
  }
  return credentialsFor(parseImageName(container.image ?? '').repository, secrets)
}
