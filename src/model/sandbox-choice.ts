import type { RuntimeClass } from './kubernetes.ts'

/** By which handlers of its backend a pool has its sandboxes made. */
export interface SandboxChoice {
  /** Of Pods without a RuntimeClass; undefined: the backend's own default. */
  readonly byDefault: string | undefined
  /** By RuntimeClass name, in place of the handler that the class names. */
  readonly byClass: Readonly<Record<string, string>>
}

/** Undefined: the backend's own default. Whether the backend offers it is another question. */
export function chosenHandler(
  choice: SandboxChoice | undefined,
  runtimeClass: RuntimeClass | undefined,
): string | undefined {
  if (!runtimeClass) return choice?.byDefault
  return choice?.byClass[runtimeClass.metadata?.name ?? ''] ?? runtimeClass.handler
}
