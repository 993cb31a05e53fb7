/** A certificate with its chain, and the key, as PEM. */
export interface PemPair {
  readonly cert: string
  readonly key: string
}
