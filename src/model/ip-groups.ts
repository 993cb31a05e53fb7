/** The eight groups of an IPv6 address without a zone, "::" written out, each as it was written. Pure. */
export function ip6Groups(address: string): readonly string[] {
  const [head = '', tail] = address.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const left = groups(head)
  const right = groups(tail ?? '')
  const zeros = Array<string>(tail === undefined ? 0 : Math.max(8 - left.length - right.length, 0)).fill('0')
  return [...left, ...zeros, ...right]
}
