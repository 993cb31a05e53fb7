import { expect, test } from 'vitest'
import type { Service } from '../../src/model/kubernetes.ts'
import { serviceEnvironment } from '../../src/pods/service-environment.ts'

const kubernetes: Service = {
  metadata: { namespace: 'default', name: 'kubernetes' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] },
}
const web: Service = {
  metadata: { namespace: 'shop', name: 'web-front' },
  spec: {
    clusterIP: '10.96.7.7',
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns-udp', port: 53, protocol: 'UDP' },
    ],
  },
}
const headless: Service = {
  metadata: { namespace: 'shop', name: 'db' },
  spec: { clusterIP: 'None', ports: [{ port: 1 }] },
}
const elsewhere: Service = {
  metadata: { namespace: 'other', name: 'x' },
  spec: { clusterIP: '10.96.0.9', ports: [{ port: 1 }] },
}
const all = [kubernetes, web, headless, elsewhere]

test('names the Services of the namespace and the API server, Docker-link style', () => {
  expect(Object.fromEntries(serviceEnvironment(all, { namespace: 'shop', links: true }))).toEqual({
    KUBERNETES_SERVICE_HOST: '10.96.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
    WEB_FRONT_SERVICE_HOST: '10.96.7.7',
    WEB_FRONT_SERVICE_PORT: '80',
    WEB_FRONT_SERVICE_PORT_HTTP: '80',
    WEB_FRONT_SERVICE_PORT_DNS_UDP: '53',
    WEB_FRONT_PORT: 'tcp://10.96.7.7:80',
    WEB_FRONT_PORT_80_TCP: 'tcp://10.96.7.7:80',
    WEB_FRONT_PORT_80_TCP_PROTO: 'tcp',
    WEB_FRONT_PORT_80_TCP_PORT: '80',
    WEB_FRONT_PORT_80_TCP_ADDR: '10.96.7.7',
    WEB_FRONT_PORT_53_UDP: 'udp://10.96.7.7:53',
    WEB_FRONT_PORT_53_UDP_PROTO: 'udp',
    WEB_FRONT_PORT_53_UDP_PORT: '53',
    WEB_FRONT_PORT_53_UDP_ADDR: '10.96.7.7',
  })
})

test('without links only the API server is named', () => {
  const names = [...serviceEnvironment(all, { namespace: 'shop', links: false }).keys()]
  expect(names.filter((name) => !name.startsWith('KUBERNETES_'))).toEqual([])
  expect(names).toHaveLength(8)
})

test('a Service called kubernetes in the own namespace takes that name', () => {
  const own: Service = {
    metadata: { namespace: 'shop', name: 'kubernetes' },
    spec: { clusterIP: '10.96.9.9', ports: [{ port: 1 }] },
  }
  const variables = serviceEnvironment([kubernetes, own], { namespace: 'shop', links: true })
  expect(variables.get('KUBERNETES_SERVICE_HOST')).toBe('10.96.9.9')
  expect(variables.get('KUBERNETES_PORT_443_TCP')).toBeUndefined()
})
