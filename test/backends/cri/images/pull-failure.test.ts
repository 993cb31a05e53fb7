import { status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { pullFailure } from '../../../../src/backends/cri/images/pull-failure.ts'
import { criError } from '../../../../src/backends/cri/runtime/errors.ts'

const failed = (details: string, code = status.UNKNOWN) =>
  pullFailure('r.example/app:1', criError('PullImage', { code, details }))

describe('why a pull failed', () => {
  it('is the runtime’s own sentence', () => {
    expect(failed('no such host')).toEqual({ reason: 'ErrImagePull', message: 'no such host' })
    expect(failed('no such manifest', status.NOT_FOUND)).toEqual({
      reason: 'ErrImagePull',
      message: 'rpc error: code = NotFound desc = no such manifest',
    })
  })

  it('has a reason of its own where the runtime knows it', () => {
    expect(failed('RegistryUnavailable: 503 from r.example')).toEqual({
      reason: 'RegistryUnavailable',
      message:
        'image pull failed for r.example/app:1 because the registry is unavailable: 503 from r.example',
    })
    expect(failed('SignatureValidationFailed: untrusted key')).toEqual({
      reason: 'SignatureValidationFailed',
      message: 'image pull failed for r.example/app:1 because the signature validation failed: untrusted key',
    })
  })
})
