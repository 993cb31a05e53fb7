/** Whoever is the virtual nodes of this process. The Node objects are theirs to write while they are served. */
export interface NodeHost {
  /** Becomes that node; nothing when it is one already. */
  start(node: { readonly pool: string; readonly ordinal: number; readonly retiring: boolean }): void
  /** Stops being it. Resolves when nothing of it runs any more; its Node object stays, and so do its Pods. */
  stop(node: string): Promise<void>
  setRetiring(node: string, retiring: boolean): void
  served(pool: string): readonly HostedNode[]
  /** Calls back with the name of the pool when something about one of its nodes has changed. */
  subscribe(listener: (pool: string) => void): () => void
}

export interface HostedNode {
  readonly name: string
  readonly ordinal: number
  readonly retiring: boolean
  /** Why it cannot be served just now; undefined when it is. */
  readonly problem: string | undefined
}
