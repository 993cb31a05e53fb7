/** Where a kubelet, or one of our nodes, answers. */
export interface NodeDoor {
  readonly address: string
  readonly port: number
}

/** The doors of the cluster's nodes, as far as they are known. */
export interface KnownDoors {
  list(): readonly NodeDoor[]
  /** Calls back when there may be others now. Returns the end of the subscription. */
  onChange(listener: () => void): () => void
}

export const noDoors: KnownDoors = { list: () => [], onChange: () => () => undefined }
