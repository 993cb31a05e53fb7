import { errorMessage } from '../../../model/errors.ts'
import type { Clock } from '../../../model/clock.ts'
import type { Container, Probe } from '../../../model/kubernetes.ts'
import type { ExecInContainer } from '../runtime/exec-in-container.ts'
import { execProbe } from './exec.ts'
import { grpcProbe } from './grpc.ts'
import { httpProbe } from './http.ts'
import { resolvePort, type ProbeOutcome } from './probe-outcome.ts'
import { tcpProbe } from './tcp.ts'

export interface ProbeTarget {
  readonly container: Container
  /** Where probes go that name no host. */
  readonly podIp: string
  readonly exec: ExecInContainer
  readonly clock: Clock
}

/** Tries of a probe that could not be carried out (kubelet's maxProbeRetries). */
const tries = 3

/** Carries out a probe once. Never rejects; when the signal is aborted the outcome means nothing. */
export async function runProbe(
  probe: Probe,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  let outcome = await tryProbe(probe, target, signal)
  for (let again = 1; again < tries && outcome.result === 'unknown' && !signal.aborted; again += 1) {
    outcome = await tryProbe(probe, target, signal)
  }
  return outcome
}

async function tryProbe(probe: Probe, target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome> {
  const { container, podIp, exec, clock } = target
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
  try {
    if (probe.exec)
      return await execProbe({ command: probe.exec.command ?? [], container, timeoutMs, exec }, signal)
    if (probe.httpGet) {
      const { scheme, host, port, path = '', httpHeaders: headers = [] } = probe.httpGet
      return await httpProbe(
        {
          scheme: scheme === 'HTTPS' ? 'https' : 'http',
          host: host || podIp,
          port: resolvePort(port, container),
          path,
          headers,
          purpose: 'probe',
          timeoutMs,
        },
        signal,
      )
    }
    if (probe.tcpSocket) {
      const { host, port } = probe.tcpSocket
      return await tcpProbe({ host: host || podIp, port: resolvePort(port, container), timeoutMs }, signal)
    }
    if (probe.grpc) {
      const { port, service = '', mode } = probe.grpc
      return await grpcProbe({ host: podIp, port, service, tls: mode === 'TLS', timeoutMs, clock }, signal)
    }
    return { result: 'unknown', error: `no supported handler in ${Object.keys(probe).join(', ')}` }
  } catch (error) {
    return { result: 'unknown', error: errorMessage(error) }
  }
}
