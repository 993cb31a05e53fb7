import { Type, type Static } from 'typebox'
import { parseNetwork } from './ip-network.ts'

/** Where clouds answer with credentials of the machine: AWS, Azure, GCP and others; Alibaba; AWS and GCP by IPv6. */
export const defaultBlockedAddresses: readonly string[] = [
  '169.254.0.0/16',
  '100.100.100.200/32',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
]

/** `backends[].options.network` of a backend of kind `cri`. */
export const networkOptionsSchema = Type.Object(
  {
    isolation: Type.Optional(
      Type.Enum(['On', 'Off'], {
        description:
          'Whether nftables rules of ours keep Pods from the machine, from kubelets, from blockedAddresses and from other senders’ addresses. Default On; where the rules cannot be set, no Pod starts.',
      }),
    ),
    hostPorts: Type.Optional(
      Type.Array(Type.String({ pattern: '^[1-9][0-9]{0,4}/(TCP|UDP|SCTP)$' }), {
        description:
          'Ports of the machine that Pods reach all the same, as in 53/UDP: what answers behind a Service without being a Pod. Default none.',
      }),
    ),
    blockedAddresses: Type.Optional(
      Type.Array(Type.String({ minLength: 2 }), {
        description: `Addresses and networks that Pods do not reach, the name servers of resolvConf excepted. Default ${defaultBlockedAddresses.join(', ')}.`,
      }),
    ),
  },
  { additionalProperties: false, description: 'What Pods reach; see docs/network.md.' },
)

export type NetworkOptions = Static<typeof networkOptionsSchema>

const highestPort = 65_535

/** What is wrong with the options that their schema cannot tell, one sentence each. */
export function networkProblems(options: NetworkOptions, prefix: string): string[] {
  const { hostPorts = [], blockedAddresses = [] } = options
  return [
    ...hostPorts.flatMap((port, index) =>
      Number.parseInt(port, 10) <= highestPort
        ? []
        : [`${prefix}.hostPorts[${index}]: found "${port}"; allowed: ports up to ${highestPort}`],
    ),
    ...blockedAddresses.flatMap((address, index) =>
      parseNetwork(address)
        ? []
        : [
            `${prefix}.blockedAddresses[${index}]: found "${address}"; allowed: an IP address, or a network as in 169.254.0.0/16`,
          ],
    ),
  ]
}
