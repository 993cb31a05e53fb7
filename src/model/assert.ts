/** For the `default` of an exhaustive switch: does not compile when a case is missing, throws if data lied. */
export function assertNever(value: never, what: string): never {
  throw new Error(`${what}: unexpected ${JSON.stringify(value)}`)
}
