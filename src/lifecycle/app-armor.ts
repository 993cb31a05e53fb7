import type { Container, Pod } from '../model/kubernetes.ts'

export interface AppArmorProfile {
  /** `RuntimeDefault`, `Unconfined` or `Localhost`. */
  readonly type: string
  readonly localhostProfile?: string
}

/** Before Kubernetes 1.30 the only way to ask for a profile: one annotation for each container. */
export const appArmorAnnotation = 'container.apparmor.security.beta.kubernetes.io/'

/** The container's profile: its own, else the annotation's, else the Pod's (pkg/security/apparmor GetProfile). */
export function appArmorProfileOf(
  { metadata, spec }: Pod,
  { name, securityContext }: Container,
): AppArmorProfile | undefined {
  return (
    securityContext?.appArmorProfile ??
    annotated(metadata?.annotations?.[`${appArmorAnnotation}${name}`]) ??
    spec?.securityContext?.appArmorProfile
  )
}

function annotated(value: string | undefined): AppArmorProfile | undefined {
  if (value === 'runtime/default') return { type: 'RuntimeDefault' }
  if (value === 'unconfined') return { type: 'Unconfined' }
  const [, localhostProfile] = /^localhost\/(.*)$/.exec(value ?? '') ?? []
  return localhostProfile === undefined ? undefined : { type: 'Localhost', localhostProfile }
}
