/**
 * Replaces `$(NAME)` in a command, an argument or the value of a variable. `$$` stands for one `$`, so `$$(NAME)`
 * stays as `$(NAME)`; a name that is not known stays as it is written, and so does what is not a reference at all
 * (third_party/forked/golang/expansion). Values are not expanded again.
 */
export function expandVariables(text: string, variables: Pick<ReadonlyMap<string, string>, 'get'>): string {
  return text.replace(reference, (whole: string, name: string | undefined) => {
    if (whole === '$$') return '$'
    return name === undefined ? whole : (variables.get(name) ?? whole)
  })
}

// Read from left to right: an escaped dollar, or a reference up to the first closing bracket, whatever stands in it.
const reference = /\$\$|\$\(([^)]*)\)/g
