/** What Pods can be let at that breaks their isolation from the machine or weakens it. */
export const securityAllowances = [
  'hostIPC',
  'hostNetwork',
  'hostPath',
  'hostPID',
  'privileged',
  'unconfinedSeccomp',
] as const

export type SecurityAllowance = (typeof securityAllowances)[number]

/**
 * What a pool lets its Pods have. Without a word from its owner: nothing, which is the baseline of the Pod Security
 * Standards for these fields. The backend's own options bound it for the machine.
 */
export interface SecurityProfile {
  readonly allow: readonly SecurityAllowance[]
  /** Linux capabilities that containers may add beyond the usual, without `CAP_`; `ALL`: every one. */
  readonly capabilities: readonly string[]
}

export const strictestProfile: SecurityProfile = { allow: [], capabilities: [] }
