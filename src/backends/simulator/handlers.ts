import { sealedHandler } from '../../lifecycle/pod-sandbox.ts'
import { lacksOf } from '../../lifecycle/sandbox-lacks.ts'
import type { Capabilities, SandboxHandler } from '../../model/capability.ts'
import type { SimulatorConfig } from './config.ts'

/** One for everything, or those that the options name, with what a containerd host that has them would say of them. */
export function simulatedHandlers({
  sandboxHandlers,
}: Pick<SimulatorConfig, 'sandboxHandlers'>): Pick<Capabilities, 'sandboxHandlers' | 'defaultHandler'> {
  const features = { forRuntimeClasses: true, recursiveReadOnlyMounts: true, userNamespaces: true } as const
  const named = Object.entries(sandboxHandlers).map(([name, kind]): SandboxHandler => {
    // runsc says of itself that it has none (release-20260701).
    const told = { ...features, recursiveReadOnlyMounts: kind !== 'gvisor' }
    return { name, kind, ...told, lacks: lacksOf({ kind, ...told }) }
  })
  if (named.length > 0)
    return { sandboxHandlers: named, defaultHandler: sealedHandler(named, 'the simulator') }
  const only: SandboxHandler = { name: '', kind: 'simulated', ...features, lacks: new Map() }
  return { sandboxHandlers: [only], defaultHandler: { name: '' } }
}
