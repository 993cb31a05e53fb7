import { describe, expect, it } from 'vitest'
import { requestAttributes } from '../../src/kubelet-api/request-attributes.ts'

describe('requestAttributes', () => {
  it.each([
    ['GET', '/healthz', 'get', ['healthz', 'proxy']],
    ['GET', '/pods', 'get', ['pods', 'proxy']],
    ['GET', '/runningpods/', 'get', ['pods', 'proxy']],
    ['GET', '/configz', 'get', ['configz', 'proxy']],
    ['GET', '/stats/summary', 'get', ['stats']],
    ['GET', '/metrics/resource', 'get', ['metrics']],
    ['GET', '/logs/', 'get', ['log']],
    ['GET', '/containerLogs/ns/pod/c', 'get', ['proxy']],
    ['POST', '/exec/ns/pod/c', 'create', ['proxy']],
    ['GET', '/podsfoo', 'get', ['proxy']],
  ])('%s %s asks to %s %j', (method, path, verb, subresources) => {
    expect(requestAttributes(method, path)).toEqual({ verb, subresources })
  })
})
