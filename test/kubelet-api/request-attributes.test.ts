import { describe, expect, it } from 'vitest'
import { requestAttributes } from '../../src/kubelet-api/request-attributes.ts'

describe('requestAttributes', () => {
  it.each([
    ['GET', '/healthz', 'get', ['healthz', 'proxy']],
    ['GET', '/healthz/ping', 'get', ['healthz', 'proxy']],
    ['GET', '/healthz/syncloop', 'get', ['healthz', 'proxy']],
    ['GET', '/pods', 'get', ['pods', 'proxy']],
    ['GET', '/pods/', 'get', ['pods', 'proxy']],
    ['GET', '/runningpods/', 'get', ['pods', 'proxy']],
    ['GET', '/allocatedPods', 'get', ['pods', 'proxy']],
    ['GET', '/configz', 'get', ['configz', 'proxy']],
    ['GET', '/flagz', 'get', ['configz']],
    ['GET', '/statusz', 'get', ['statusz']],
    ['GET', '/stats/summary', 'get', ['stats']],
    ['POST', '/stats/summary', 'create', ['stats']],
    ['GET', '/metrics', 'get', ['metrics']],
    ['GET', '/metrics/resource', 'get', ['metrics']],
    ['GET', '/metrics/cadvisor', 'get', ['metrics']],
    ['GET', '/metrics/probes', 'get', ['metrics']],
    ['GET', '/logs/', 'get', ['log']],
    ['GET', '/logs/kubelet.log', 'get', ['log']],
    ['POST', '/checkpoint/ns/pod/c', 'create', ['checkpoint']],
    ['GET', '/containerLogs/ns/pod/c', 'get', ['proxy']],
    ['POST', '/exec/ns/pod/c', 'create', ['proxy']],
    ['GET', '/exec/ns/pod/c', 'create', ['proxy']],
    ['POST', '/attach/ns/pod/c', 'create', ['proxy']],
    ['GET', '/attach/ns/pod/c', 'create', ['proxy']],
    ['POST', '/portForward/ns/pod', 'create', ['proxy']],
    ['GET', '/portForward/ns/pod', 'create', ['proxy']],
    ['GET', '/run/ns/pod/c', 'create', ['proxy']],
    ['GET', '/execfoo', 'get', ['proxy']],
    ['POST', '/run/ns/pod/c', 'create', ['proxy']],
    ['GET', '/debug/pprof/heap', 'get', ['proxy']],
    ['PUT', '/debug/flags/v', 'update', ['proxy']],
    ['PATCH', '/anything', 'patch', ['proxy']],
    ['DELETE', '/anything', 'delete', ['proxy']],
    ['OPTIONS', '/anything', '', ['proxy']],
    ['GET', '/podsfoo', 'get', ['proxy']],
    ['GET', '/metricsfoo', 'get', ['proxy']],
  ])('%s %s asks to %s %j', (method, path, verb, subresources) => {
    expect(requestAttributes(method, path)).toEqual({ verb, subresources })
  })
})
