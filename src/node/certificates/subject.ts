// @peculiar/x509 resolves its parts by decorators and asks for this first.
import 'reflect-metadata'
import { SocketAddress, isIPv6 } from 'node:net'
import {
  SubjectAlternativeNameExtension,
  type Extension,
  type JsonGeneralName,
  type Name,
} from '@peculiar/x509'
import { nodesGroup, nodeUser } from './purpose.ts'

/** Whom a certificate names, or is to name. */
export interface CertificateSubject {
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  /** In the one spelling that `ipAddress` gives. */
  readonly ipAddresses: readonly string[]
}

/** A node as a server. What is no address is a DNS name, as kubelet sorts those of its Node object. */
export function servingSubject(nodeName: string, addresses: readonly string[]): CertificateSubject {
  return {
    ...clientSubject(nodeName),
    dnsNames: [...new Set([nodeName])],
    ipAddresses: [...new Set(addresses.map(ipAddress))].sort(),
  }
}

/** A node as a client. */
export function clientSubject(nodeName: string): CertificateSubject {
  return {
    commonName: nodeUser(nodeName),
    organizations: [nodesGroup],
    dnsNames: [],
    ipAddresses: [],
  }
}

/** One spelling for one address: IPv6 has many. */
export function ipAddress(text: string): string {
  return isIPv6(text) ? new SocketAddress({ address: text, family: 'ipv6' }).address : text
}

/** What a certificate or a request says of its subject, and whether it says more than a node's would. */
export interface StatedSubject extends CertificateSubject {
  /** Names of other kinds: e-mail addresses, URIs, further parts of the distinguished name. */
  readonly otherNames: readonly string[]
}

export function statedSubject(name: Name, extensions: readonly Extension[]): StatedSubject {
  const names = extensions.flatMap((extension) =>
    extension instanceof SubjectAlternativeNameExtension ? extension.names.toJSON() : [],
  )
  const parts = name.toJSON().flatMap((part) => Object.keys(part))
  const ofType = (type: JsonGeneralName['type']): string[] =>
    names.filter((one) => one.type === type).map(({ value }) => value)
  return {
    commonName: name.getField('CN').join(' '),
    organizations: name.getField('O'),
    dnsNames: ofType('dns'),
    ipAddresses: ofType('ip').map(ipAddress),
    otherNames: [
      ...names.filter(({ type }) => type !== 'dns' && type !== 'ip').map(({ type }) => type),
      ...parts.filter((part) => part !== 'CN' && part !== 'O'),
      ...(name.getField('CN').length > 1 ? ['CN'] : []),
    ],
  }
}
