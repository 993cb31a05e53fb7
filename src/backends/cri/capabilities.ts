import type { Capabilities, PodFeature } from '../../model/capability.ts'

/** What this backend really does; everything else is refused at the door with the field's name. */
const features: readonly PodFeature[] = [
  'attach',
  'configMapVolume',
  'downwardApiVolume',
  'emptyDirMemory',
  'emptyDirVolume',
  'exec',
  'execProbe',
  'fsGroup',
  'hostAliases',
  'httpProbe',
  'initContainers',
  'livenessProbe',
  'portForward',
  'readinessProbe',
  'seccomp',
  'secretVolume',
  'serviceAccountToken',
  'sidecarContainers',
  'startupProbe',
  'subPath',
  'tcpProbe',
]

export const criCapabilities: Capabilities = { features: new Set(features), sandboxHandlers: [''] }
