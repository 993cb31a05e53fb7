import type { PodFeature, SandboxHandler, SandboxKind } from '../model/capability.ts'

/**
 * What a Pod cannot have in a sandbox of that kind: seen on runsc release-20260701 (docs/sandboxes.md); Kata's,
 * untested here, stands in its list of limitations. Each is passed over in silence there, or fails long after the Pod was let in.
 */
const lacksOfKind: Partial<Readonly<Record<SandboxKind, readonly (readonly [PodFeature, string])[]>>> = {
  gvisor: [
    ['appArmor', 'gVisor’s own kernel has no AppArmor'],
    ['bidirectionalMountPropagation', 'mounts made in a gVisor sandbox stay in it'],
    ['hostIPC', 'a gVisor sandbox has a kernel of its own, without the machine’s IPC objects'],
    ['hostNetwork', 'a gVisor sandbox has a network stack of its own, without the machine’s interfaces'],
    ['hostPID', 'a gVisor sandbox has a kernel of its own, without the machine’s processes'],
    ['localSeccompProfile', 'gVisor filters by its own profile and passes over others'],
    ['mountPropagation', 'mounts made on the machine do not show in a gVisor sandbox that runs'],
    ['sysctls', 'gVisor’s own kernel passes over a Pod’s sysctls'],
  ],
  kata: [['hostNetwork', 'a virtual machine has a network of its own, without the machine’s interfaces']],
}

/** What a Pod cannot have in sandboxes of such a handler, and why. Pure. */
export function lacksOf({
  kind,
  recursiveReadOnlyMounts,
  userNamespaces,
}: Pick<SandboxHandler, 'kind' | 'recursiveReadOnlyMounts' | 'userNamespaces'>): ReadonlyMap<
  PodFeature,
  string
> {
  // Whatever runsc says of itself: containerd cannot mount the files of such a Pod for it.
  const isMapped = userNamespaces && kind !== 'gvisor'
  const unmapped = 'its handler does not support user namespaces'
  const shallow = 'its handler cannot make what is mounted below read-only, too'
  return new Map<PodFeature, string>([
    ...(lacksOfKind[kind] ?? []),
    ...(recursiveReadOnlyMounts ? [] : ([['recursiveReadOnly', shallow]] as const)),
    // The API server takes an unmasked /proc only together with a user namespace.
    ...(isMapped
      ? []
      : ([
          ['userNamespace', unmapped],
          ['procMount', unmapped],
        ] as const)),
  ])
}
