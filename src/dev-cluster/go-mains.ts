/**
 * Go source of a CoreDNS with the named plugins only. Their order in a query is CoreDNS's own (its list of
 * directives), not that of these imports.
 */
export function corednsMain(plugins: readonly string[]): string {
  const imports = [...plugins].sort().map((plugin) => `\t_ "github.com/coredns/coredns/plugin/${plugin}"`)
  return `package main

import (
\t"github.com/coredns/coredns/coremain"

${imports.join('\n')}
)

func main() { coremain.Run() }
`
}

/**
 * Go source of the process that holds a Pod's namespaces. As PID 1 of a Pod with a shared PID namespace it must reap
 * what others leave behind, and end at once when the sandbox is stopped.
 */
export const pauseMain = `package main

import (
\t"os"
\t"os/signal"
\t"syscall"
)

func main() {
\tended := make(chan os.Signal, 1)
\tsignal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
\tchildren := make(chan os.Signal, 1)
\tsignal.Notify(children, syscall.SIGCHLD)
\tfor {
\t\t// Children that ended before the handler was in place sent a signal that nobody saw: reap first, then wait.
\t\treap()
\t\tselect {
\t\tcase <-ended:
\t\t\treturn
\t\tcase <-children:
\t\t}
\t}
}

func reap() {
\tfor {
\t\tpid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
\t\tif err == syscall.EINTR {
\t\t\tcontinue
\t\t}
\t\tif pid <= 0 {
\t\t\treturn
\t\t}
\t}
}
`

/**
 * Go source of the shell in the image that upstream's tests know as busybox 1.37. They want environment variables with
 * a dash in their names passed on, and the words of busybox's shell for what goes wrong. Debian 12's busybox 1.35 drops
 * such names (as dash does), and bash has other words: so bash where such names are, busybox elsewhere.
 */
export const testShellMain = `package main

import (
\t"os"
\t"regexp"
\t"syscall"
)

func main() {
\tshell := "/bin/busybox"
\tordinary := regexp.MustCompile("^[A-Za-z_][A-Za-z0-9_]*=")
\tfor _, variable := range os.Environ() {
\t\tif !ordinary.MatchString(variable) {
\t\t\tshell = "/bin/bash"
\t\t}
\t}
\t// Both take the name they are called by from the first argument: /bin/sh.
\tif err := syscall.Exec(shell, os.Args, os.Environ()); err != nil {
\t\tos.Stderr.WriteString(shell + ": " + err.Error() + "\\n")
\t\tos.Exit(127)
\t}
}
`
