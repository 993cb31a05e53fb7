import type { Container, Pod } from '../../../model/kubernetes.ts'
import type { PodHappening, PodSources } from '../../backend.ts'

/** What a Pod needs of an image, and what it may show for it. */
export interface ImageRequest {
  readonly pod: Pod
  readonly container: Pick<Container, 'image' | 'imagePullPolicy'>
  readonly sources: PodSources
  /** As in `spec.containers{web}`; left out for the image of a volume. */
  readonly fieldPath?: string
  readonly tell: (happening: PodHappening) => void
}
