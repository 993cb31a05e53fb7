import { status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { criError, runtimeSentence } from '../../../../src/backends/cri/runtime/errors.ts'
import { withoutArguments } from '../../../../src/backends/cri/runtime/without-arguments.ts'

const start = 'OCI runtime start failed: starting container: starting sub-container'
const why = 'failed to load /no/such: no such file or directory'

describe('a runtime’s sentence', () => {
  it.each([
    ['without its arguments', `${start} [/no/such --password=secret]: ${why}`, `${start}: ${why}`],
    ['whatever stands in them', `${start} [/no/such a]: b] secret]: ${why}`, `${start}: ${why}`],
    ['over several lines', `${start} [sh -c one\nsecret]: ${why}`, `${start}: ${why}`],
    ['when it was cut off', `${start} [/no/such secr`, start],
    [
      'of a command in a container',
      'executing command "sh -c \\"secret\\"" in sandbox: no such file',
      'executing command in sandbox: no such file',
    ],
  ])('of gVisor is shown without what its command line holds, %s', (_what, sentence, shown) => {
    expect(withoutArguments(sentence)).toBe(shown)
  })

  it('of runc, and any other, is shown as it is', () => {
    const runc = 'runc create failed: exec: "/no/such": stat /no/such: no such file or directory [sic]: x'
    expect(withoutArguments(runc)).toBe(runc)
  })

  it('is shown so in errors, and in what is made of them', () => {
    const details = `${start} [/no/such secret]: ${why}`
    const error = criError(
      'StartContainer',
      Object.assign(new Error(details), { code: status.UNKNOWN, details }),
    )
    expect(error.message).toBe(`container runtime, StartContainer: ${start}: ${why}`)
    expect(runtimeSentence(error)).toBe(`${start}: ${why}`)
  })
})
