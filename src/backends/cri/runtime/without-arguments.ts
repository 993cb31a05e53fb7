// Words are parted by blanks there, or quoted as one, and may hold anything: so up to the last end, or all of it.
const namingAll = [
  /(starting sub-container) \[(?:.*\](?=: )|.*)/s,
  /(executing command) "(?:.*"(?= in sandbox: )|.*)/s,
] as const

/**
 * gVisor's sentence about a program that did not begin names all of its command line (runsc/sandbox), in which `$(NAME)` has
 * become what a Secret holds. Events, statuses and logs show the sentence; runc's names the program alone. Pure.
 */
export function withoutArguments(sentence: string): string {
  return namingAll.reduce((text, pattern) => text.replace(pattern, '$1'), sentence)
}
