import type { Container, Pod } from '../../../model/kubernetes.ts'
import type { CriImage, ImageSpec } from '../runtime/cri-types.ts'

export interface VolumeImagesInput {
  readonly pod: Pod
  readonly container: Container
  /** Of the Pod's sandbox. */
  readonly runtimeHandler: string
  readonly ensure: (image: WantedImage, signal: AbortSignal) => Promise<CriImage>
}

export interface WantedImage {
  readonly image: string
  readonly imagePullPolicy?: string
}

/**
 * The images that the container mounts as volumes, by volume, pulled by the policy of each. Rejects as the container's
 * own image would (ErrImagePull, ImagePullBackOff, …): the container waits with that reason, as with kubelet.
 */
export async function volumeImages(
  { pod, container, runtimeHandler, ensure }: VolumeImagesInput,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ImageSpec>> {
  const mounted = new Set((container.volumeMounts ?? []).map(({ name }) => name))
  const images = new Map<string, ImageSpec>()
  for (const { name, image } of pod.spec?.volumes ?? []) {
    if (!image || !mounted.has(name)) continue
    const { reference = '', pullPolicy } = image
    const wanted = { image: reference, ...(pullPolicy !== undefined && { imagePullPolicy: pullPolicy }) }
    const { id } = await ensure(wanted, signal)
    const annotations = pod.metadata?.annotations ?? {}
    images.set(name, { image: id, userSpecifiedImage: reference, runtimeHandler, annotations })
  }
  return images
}
