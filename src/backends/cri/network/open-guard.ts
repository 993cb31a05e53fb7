import type { KnownDoors } from '../../../model/node-door.ts'
import type { Log } from '../../../telemetry/log.ts'
import { CommandShell } from '../command-shell.ts'
import type { Owner } from '../marks.ts'
import type { CriClient } from '../runtime/client.ts'
import { parseResolvConf } from '../translate/dns-config.ts'
import { Isolation } from './isolation.ts'
import { removalScript, tableName } from './isolation-rules.ts'
import { openNetwork, type NetworkGuard } from './network-guard.ts'
import { setRules } from './set-rules.ts'
import { defaultBlockedAddresses, type NetworkOptions } from './network-options.ts'

export interface GuardSettings {
  readonly owner: Owner & { readonly backend: string }
  readonly options: NetworkOptions
  /** Text of the file whose name servers Pods with DNS policy Default are given. */
  readonly hostResolvConf: string
  readonly doors: KnownDoors
  readonly client: CriClient
  readonly log: Log
}

/** What the options ask for. Nothing is set yet; but of isolation that was switched off nothing is left. */
export async function openGuard(settings: GuardSettings): Promise<NetworkGuard> {
  const { owner, options, hostResolvConf, doors, client, log } = settings
  const table = tableName(owner)
  const shell = new CommandShell()
  if (options.isolation === 'Off') {
    log.warn({}, 'options.network.isolation is Off: Pods reach this machine, kubelets and metadata addresses')
    // Where there is no nft there are no tables of ours.
    await setRules(shell, removalScript(table), new AbortController().signal).catch(() => undefined)
    shell.close()
    return openNetwork
  }
  const facts = {
    table,
    hostPorts: options.hostPorts ?? [],
    blockedAddresses: options.blockedAddresses ?? defaultBlockedAddresses,
    nameServers: parseResolvConf(hostResolvConf).servers,
  }
  return new Isolation({ facts, doors, client, shell, log })
}
