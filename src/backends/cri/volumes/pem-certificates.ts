// As Go's encoding/pem reads it: whatever stands around the blocks, and headers in them, do not count.
const block = /^-----BEGIN CERTIFICATE-----[ \t]*\r?\n([\s\S]*?)^-----END CERTIFICATE-----/gm

/** The certificates of a text, DER, in its order. */
export function readCertificates(pem: string): Buffer[] {
  return [...pem.matchAll(block)].map(([, body = '']) => {
    const lines = body.split(/\r?\n/).filter((line) => !line.includes(':'))
    return Buffer.from(lines.join(''), 'base64')
  })
}

/** One bare PEM block after the other. */
export function writeCertificates(certificates: readonly Buffer[]): Buffer {
  return Buffer.concat(
    certificates.map((der) => {
      const lines = der.toString('base64').match(/.{1,64}/g) ?? []
      return Buffer.from(
        ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'),
      )
    }),
  )
}
