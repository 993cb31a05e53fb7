import type { CriImage } from '../../src/backends/cri/runtime/cri-types.ts'

/** Whose sandboxes and containers tests translate, and what image they are of. */
export const owner = { clusterUid: 'cluster-1', instance: 'main' }

export const image: CriImage = {
  id: 'sha256:abc',
  repoTags: [],
  repoDigests: [],
  size: '1',
  uid: null,
  username: '',
  pinned: false,
}
