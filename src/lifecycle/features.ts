import type { FeatureUse, PodFeature } from '../model/capability.ts'
import type { Container, Pod, Probe, Volume } from '../model/kubernetes.ts'
import { isSidecar } from '../model/resources.ts'
import { appArmorAnnotation } from './app-armor.ts'

/**
 * Every feature that the Pod uses and that a backend may lack, with the field that asks for it. A feature that is asked
 * for twice is listed twice, so that a refusal can name each field.
 */
export function featuresOf(pod: Pod): FeatureUse[] {
  const { containers = [], initContainers = [], ephemeralContainers = [], volumes = [] } = pod.spec ?? {}
  return [
    ...podWide(pod),
    ...volumes.flatMap((volume, index) => ofVolume(volume, `spec.volumes[${index}]`)),
    ...initContainers.flatMap((container, index) =>
      ofInitContainer(container, `spec.initContainers[${index}]`),
    ),
    ...containers.flatMap((container, index) => ofMainContainer(container, `spec.containers[${index}]`)),
    ...ephemeralContainers.flatMap((container, index) => {
      const field = `spec.ephemeralContainers[${index}]`
      return [{ feature: 'ephemeralContainers', field } as const, ...ofContainer(container, field)]
    }),
  ]
}

/** Fields that newer versions added, or whose presence is all that counts. */
type Fields = Readonly<Record<string, unknown>>

function fieldsOf(value: object | undefined): Fields {
  return (value ?? {}) as Fields
}

/** The uses among those named of which the condition holds. */
function used(
  prefix: string,
  checks: readonly (readonly [field: string, feature: PodFeature, holds: boolean])[],
): FeatureUse[] {
  return checks
    .filter(([, , holds]) => holds)
    .map(([field, feature]) => ({ feature, field: `${prefix}.${field}` }))
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null
}

function podWide(pod: Pod): FeatureUse[] {
  const spec = fieldsOf(pod.spec)
  const security = fieldsOf(pod.spec?.securityContext)
  return [
    ...used('spec', [
      ['hostAliases', 'hostAliases', isFilled(spec['hostAliases'])],
      ['hostIPC', 'hostIPC', spec['hostIPC'] === true],
      ['hostNetwork', 'hostNetwork', spec['hostNetwork'] === true],
      ['hostPID', 'hostPID', spec['hostPID'] === true],
      ['hostUsers', 'userNamespace', spec['hostUsers'] === false],
      ['os', 'windows', pod.spec?.os?.name === 'windows'],
      ['resourceClaims', 'dynamicResources', isFilled(spec['resourceClaims'])],
      ['resources', 'podLevelResources', isFilled(spec['resources'])],
      ['runtimeClassName', 'runtimeClass', isFilled(spec['runtimeClassName'])],
      ['shareProcessNamespace', 'shareProcessNamespace', spec['shareProcessNamespace'] === true],
    ]),
    ...used('spec.securityContext', [
      ['fsGroup', 'fsGroup', isFilled(security['fsGroup'])],
      [
        'supplementalGroupsPolicy',
        'supplementalGroupsPolicy',
        security['supplementalGroupsPolicy'] === 'Strict',
      ],
      ['sysctls', 'sysctls', isFilled(security['sysctls'])],
      ...sharedSecurity(security),
    ]),
    ...annotatedAppArmor(pod),
  ]
}

function annotatedAppArmor({ metadata }: Pod): FeatureUse[] {
  return Object.entries(metadata?.annotations ?? {})
    .filter(([key, value]) => key.startsWith(appArmorAnnotation) && value !== 'unconfined')
    .map(([key]) => ({ feature: 'appArmor', field: `metadata.annotations["${key}"]` }))
}

function sharedSecurity(security: Fields): (readonly [string, PodFeature, boolean])[] {
  const typeOf = (field: string): unknown => (security[field] as Fields | undefined)?.['type']
  const appArmor = typeOf('appArmorProfile')
  const seccomp = typeOf('seccompProfile')
  return [
    // Unconfined asks for nothing, so that it is fine where there is no AppArmor.
    ['appArmorProfile', 'appArmor', isFilled(appArmor) && appArmor !== 'Unconfined'],
    ['seLinuxOptions', 'seLinux', isFilled(security['seLinuxOptions'])],
    ['seccompProfile', 'seccomp', isFilled(seccomp)],
    ['seccompProfile.localhostProfile', 'localSeccompProfile', seccomp === 'Localhost'],
    ['seccompProfile.type', 'unconfinedSeccomp', seccomp === 'Unconfined'],
    ['windowsOptions', 'windows', isFilled(security['windowsOptions'])],
  ]
}

const volumeFeatures: Readonly<Record<string, PodFeature>> = {
  configMap: 'configMapVolume',
  csi: 'csiVolume',
  downwardAPI: 'downwardApiVolume',
  ephemeral: 'ephemeralVolume',
  hostPath: 'hostPathVolume',
  image: 'imageVolume',
  persistentVolumeClaim: 'persistentVolumeClaim',
  secret: 'secretVolume',
}

const projectionFeatures: Readonly<Record<string, PodFeature>> = {
  clusterTrustBundle: 'clusterTrustBundle',
  configMap: 'configMapVolume',
  downwardAPI: 'downwardApiVolume',
  podCertificate: 'podCertificate',
  secret: 'secretVolume',
  serviceAccountToken: 'serviceAccountToken',
}

function ofVolume(volume: Volume, field: string): FeatureUse[] {
  const sources = Object.keys(volume).filter((key) => key !== 'name' && isFilled(fieldsOf(volume)[key]))
  // A volume without a source is an emptyDir to the API server.
  if (sources.length === 0) return [{ feature: 'emptyDirVolume', field }]
  return sources.flatMap((source): FeatureUse[] => {
    const at = `${field}.${source}`
    if (source === 'emptyDir') return ofEmptyDir(volume, at)
    if (source === 'projected') return ofProjected(volume, at)
    // All that is left in the API are the in-tree drivers of old: nfs, iscsi, cephfs, …
    return [{ feature: volumeFeatures[source] ?? 'legacyNetworkVolume', field: at }]
  })
}

function ofEmptyDir({ emptyDir }: Volume, field: string): FeatureUse[] {
  const medium = emptyDir?.medium ?? ''
  return [
    { feature: 'emptyDirVolume', field },
    ...used(field, [
      ['medium', 'emptyDirMemory', medium === 'Memory'],
      ['medium', 'emptyDirHugePages', medium.startsWith('HugePages')],
    ]),
  ]
}

function ofProjected({ projected }: Volume, field: string): FeatureUse[] {
  return (projected?.sources ?? []).flatMap((source, index) =>
    Object.keys(source)
      .filter((key) => isFilled(fieldsOf(source)[key]))
      .map((key) => ({
        feature: projectionFeatures[key] ?? 'unknownProjection',
        field: `${field}.sources[${index}].${key}`,
      })),
  )
}

function ofInitContainer(container: Container, field: string): FeatureUse[] {
  const sidecar = isSidecar(container)
  return [
    { feature: sidecar ? 'sidecarContainers' : 'initContainers', field },
    ...used(field, [['restartPolicy', 'restartPolicyRules', !sidecar && isFilled(container.restartPolicy)]]),
    ...ofContainer(container, field),
  ]
}

function ofMainContainer(container: Container, field: string): FeatureUse[] {
  return [
    ...used(field, [['restartPolicy', 'restartPolicyRules', isFilled(container.restartPolicy)]]),
    ...ofContainer(container, field),
  ]
}

function ofContainer(container: Container, field: string): FeatureUse[] {
  const rules = container.restartPolicyRules ?? []
  const { lifecycle } = container
  return [
    ...used(field, [
      ['restartPolicyRules', 'restartPolicyRules', rules.length > 0],
      [
        'restartPolicyRules',
        'restartAllContainers',
        rules.some(({ action }) => action === 'RestartAllContainers'),
      ],
      ['resources', 'gpu', asksForGpu(container)],
      ['resources.claims', 'dynamicResources', isFilled(container.resources?.claims)],
      ['volumeDevices', 'volumeDevices', isFilled(container.volumeDevices)],
      ['lifecycle.postStart', 'postStartHook', isFilled(lifecycle?.postStart)],
      ['lifecycle.preStop', 'preStopHook', isFilled(lifecycle?.preStop)],
      ['lifecycle.stopSignal', 'stopSignal', isFilled(fieldsOf(lifecycle)['stopSignal'])],
    ]),
    ...ofSecurity(container, `${field}.securityContext`),
    ...ofProbe(container.livenessProbe, 'livenessProbe', `${field}.livenessProbe`),
    ...ofProbe(container.readinessProbe, 'readinessProbe', `${field}.readinessProbe`),
    ...ofProbe(container.startupProbe, 'startupProbe', `${field}.startupProbe`),
    ...ofPorts(container, field),
    ...ofMounts(container, field),
  ]
}

function asksForGpu({ resources }: Container): boolean {
  const names = Object.keys({ ...resources?.requests, ...resources?.limits })
  return names.some((name) => name.includes('/') && /gpu|nvidia\.com|habana\.ai/.test(name))
}

function ofSecurity(container: Container, field: string): FeatureUse[] {
  const security = fieldsOf(container.securityContext)
  const procMount = security['procMount']
  return [
    ...used(field, [
      ['privileged', 'privileged', security['privileged'] === true],
      ['procMount', 'procMount', isFilled(procMount) && procMount !== 'Default'],
      ...sharedSecurity(security),
    ]),
    ...addedCapabilities(container).map(({ name, index }): FeatureUse => {
      return { feature: 'linuxCapability', field: `${field}.capabilities.add[${index}]`, value: name }
    }),
  ]
}

/** What every container has anyway: the default of containerd (pkg/oci/spec.go) and of others. */
const usualCapabilities: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])

/** Those beyond the usual, as the kernel calls them without `CAP_`. */
function addedCapabilities({ securityContext }: Container): { name: string; index: number }[] {
  return (securityContext?.capabilities?.add ?? [])
    .map((name, index) => ({ name: name.toUpperCase().replace(/^CAP_/, ''), index }))
    .filter(({ name }) => !usualCapabilities.has(name))
}

function ofProbe(probe: Probe | undefined, feature: PodFeature, field: string): FeatureUse[] {
  if (!probe) return []
  return [
    { feature, field },
    ...used(field, [
      ['exec', 'execProbe', isFilled(probe.exec)],
      ['grpc', 'grpcProbe', isFilled(probe.grpc)],
      ['httpGet', 'httpProbe', isFilled(probe.httpGet)],
      ['tcpSocket', 'tcpProbe', isFilled(probe.tcpSocket)],
    ]),
  ]
}

function ofPorts({ ports }: Container, field: string): FeatureUse[] {
  return (ports ?? []).flatMap(({ hostPort }, index) =>
    used(`${field}.ports[${index}]`, [['hostPort', 'hostPort', (hostPort ?? 0) > 0]]),
  )
}

function ofMounts({ volumeMounts }: Container, field: string): FeatureUse[] {
  return (volumeMounts ?? []).flatMap((mount, index) => {
    const { mountPropagation = 'None', subPath, subPathExpr } = mount
    const recursive = fieldsOf(mount)['recursiveReadOnly'] ?? 'Disabled'
    return used(`${field}.volumeMounts[${index}]`, [
      ['mountPropagation', 'mountPropagation', mountPropagation === 'HostToContainer'],
      ['mountPropagation', 'bidirectionalMountPropagation', mountPropagation === 'Bidirectional'],
      ['bindMountOptions', 'bindMountOptions', isFilled(fieldsOf(mount)['bindMountOptions'])],
      // `IfPossible` says itself that doing without is fine.
      ['recursiveReadOnly', 'recursiveReadOnly', recursive === 'Enabled'],
      ['subPath', 'subPath', (subPath ?? '') !== ''],
      ['subPathExpr', 'subPathExpr', (subPathExpr ?? '') !== ''],
    ])
  })
}
