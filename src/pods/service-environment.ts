import type { Service } from '../model/kubernetes.ts'

export interface ServiceEnvironmentOptions {
  readonly namespace: string
  /** False: only the API server's own Service is named (spec.enableServiceLinks). */
  readonly links: boolean
}

/**
 * The variables in which every container finds the Services of its namespace and `kubernetes` of `default`, as kubelet
 * makes them (pkg/kubelet/envvars): Docker-link style, for Services that have a cluster IP.
 */
export function serviceEnvironment(
  services: readonly Service[],
  { namespace, links }: ServiceEnvironmentOptions,
): ReadonlyMap<string, string> {
  const variables = new Map<string, string>()
  for (const service of services) {
    const { metadata, spec } = service
    const ofApiServer = metadata?.namespace === 'default' && metadata.name === 'kubernetes'
    if (!ofApiServer && !(links && metadata?.namespace === namespace)) continue
    // A Service of that name in the Pod's own namespace takes the place of the one in `default`.
    if (ofApiServer && namespace !== 'default' && links && services.some(isNamed(namespace, 'kubernetes')))
      continue
    if (!spec?.clusterIP || spec.clusterIP === 'None') continue
    addService(variables, service)
  }
  return variables
}

function isNamed(namespace: string, name: string): (service: Service) => boolean {
  return ({ metadata, spec }) =>
    metadata?.namespace === namespace &&
    metadata.name === name &&
    spec?.clusterIP !== 'None' &&
    Boolean(spec?.clusterIP)
}

function addService(variables: Map<string, string>, { metadata, spec }: Service): void {
  const ports = spec?.ports ?? []
  const [first] = ports
  if (!first) return
  const name = variableName(metadata?.name ?? '')
  const host = spec?.clusterIP ?? ''
  variables.set(`${name}_SERVICE_HOST`, host)
  variables.set(`${name}_SERVICE_PORT`, String(first.port))
  for (const port of ports) {
    if (port.name) variables.set(`${name}_SERVICE_PORT_${variableName(port.name)}`, String(port.port))
  }
  variables.set(`${name}_PORT`, linkUrl(host, first))
  for (const port of ports) {
    const prefix = `${name}_PORT_${port.port}_${(port.protocol ?? 'TCP').toUpperCase()}`
    variables.set(prefix, linkUrl(host, port))
    variables.set(`${prefix}_PROTO`, (port.protocol ?? 'TCP').toLowerCase())
    variables.set(`${prefix}_PORT`, String(port.port))
    variables.set(`${prefix}_ADDR`, host)
  }
}

function linkUrl(host: string, { port, protocol = 'TCP' }: { port: number; protocol?: string }): string {
  return `${protocol.toLowerCase()}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_')
}
