import type { Backend } from '../backends/backend.ts'
import type { Store } from '../kube/api.ts'
import { podCapabilities, podSandbox } from '../lifecycle/pod-sandbox.ts'
import type { Capabilities } from '../model/capability.ts'
import type { Pod, RuntimeClass } from '../model/kubernetes.ts'
import type { SandboxChoice } from '../model/sandbox-choice.ts'

/** What the sandbox that a Pod would get on one node means for letting it in. */
export interface SandboxRules {
  /** What the Pod may use there. */
  capabilities(pod: Pod): Capabilities
  /** Why none can be made before somebody changes the pool; undefined: one can, or the Pod's own class is in the way. */
  noSandbox(pod: Pod): string | undefined
}

export interface SandboxRulesOptions {
  readonly backend: Pick<Backend, 'capabilities'>
  /** The pool's of now. */
  readonly choice: () => SandboxChoice | undefined
  readonly runtimeClasses: Pick<Store<RuntimeClass>, 'get'>
}

export function sandboxRules({ backend, choice, runtimeClasses }: SandboxRulesOptions): SandboxRules {
  /** Undefined: its class is not there (yet); the backend waits for it, as kubelet does. */
  const questionOf = ({ spec }: Pod) => {
    const name = spec?.runtimeClassName
    if (!name) return { choice: choice(), runtimeClass: undefined }
    const runtimeClass = runtimeClasses.get({ name })
    return runtimeClass && { choice: choice(), runtimeClass }
  }
  return {
    capabilities: (pod) => {
      const question = questionOf(pod)
      return question ? podCapabilities(backend.capabilities(), question) : backend.capabilities()
    },
    noSandbox: (pod) => {
      const question = questionOf(pod)
      const sandbox = question && podSandbox({ ...question, capabilities: backend.capabilities() })
      return sandbox && !sandbox.ok && sandbox.whose === 'pool' ? sandbox.why : undefined
    },
  }
}
