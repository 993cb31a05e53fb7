/** By which handlers of its backend a pool has its sandboxes made. */
export interface SandboxChoice {
  /** Of Pods without a RuntimeClass; undefined: the backend's own default. */
  readonly byDefault: string | undefined
  /** By RuntimeClass name, in place of the handler that the class names. */
  readonly byClass: Readonly<Record<string, string>>
}
