/** What a machine can be short of so that a Pod has to go for it, in kubelet's words. */
export type ShortResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids'

export interface Shortage {
  readonly resource: ShortResource
  /** How much should be left, and how much is: bytes, inodes or process ids. */
  readonly least: bigint
  readonly available: bigint
}
