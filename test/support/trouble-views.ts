import { join } from 'node:path'
import { askAdmin } from '../../src/cli/admin-client.ts'
import type { StatusView } from '../../src/console/api/contract.ts'
import { events, nodes, pods } from '../../src/kube/resources.ts'
import { hasCode } from '../../src/model/errors.ts'
import type { Node, NodeCondition, Pod } from '../../src/model/kubernetes.ts'
import type { JourneyApp } from './journey-app.ts'

const never = new AbortController().signal

/** What people see of a ledger in trouble, and of Pods meanwhile, on the node burst-0 of a whole Spillway. */
export class TroubleViews {
  readonly #journey: JourneyApp
  readonly #namespace: string

  constructor(journey: JourneyApp, namespace: string) {
    this.#journey = journey
    this.#namespace = namespace
  }

  async condition(): Promise<NodeCondition | undefined> {
    return (await this.#node())?.status?.conditions?.find(({ type }) => type === 'spillway.dev/LedgerReady')
  }

  /** Whether it is so now: its reason, and with it the taint or none. */
  async says(reason: string): Promise<boolean> {
    const found = await this.condition()
    const tainted =
      (await this.#node())?.spec?.taints?.some(({ key }) => key === 'spillway.dev/ledger-unavailable') ??
      false
    return found?.reason === reason && tainted === (found.status === 'False')
  }

  /** Reasons of the events about an object. */
  async eventsOf(kind: 'Node' | 'Pod', name: string): Promise<string[]> {
    const { items } = await this.#journey.api.list(events, {}, never)
    return items
      .filter(({ involvedObject }) => involvedObject?.kind === kind && involvedObject.name === name)
      .map(({ reason = '' }) => reason)
  }

  async status(): Promise<StatusView> {
    const target = join(this.#journey.folder, 'admin.sock')
    return (await askAdmin({ target }, '/v1/status', {}, never)) as StatusView
  }

  /** Straight onto the node, past its taints. */
  async createOnNode(name: string): Promise<void> {
    const requests = { cpu: '1', memory: '1Gi' }
    const containers = [{ name: 'main', image: 'web:1', resources: { requests } }]
    const metadata = { namespace: this.#namespace, name }
    const spec = { nodeName: 'burst-0', terminationGracePeriodSeconds: 1, containers }
    await this.#journey.api.create(pods, { metadata, spec }, never)
  }

  async pod(name: string): Promise<Pod | undefined> {
    return await ifThere(this.#journey.api.get(pods, { namespace: this.#namespace, name }, never))
  }

  async isRunning(name: string): Promise<boolean> {
    return (await this.pod(name))?.status?.phase === 'Running'
  }

  async delete(name: string): Promise<void> {
    await this.#journey.api.delete(pods, { namespace: this.#namespace, name }, {}, never)
  }

  async #node(): Promise<Node | undefined> {
    return await ifThere(this.#journey.api.get(nodes, { name: 'burst-0' }, never))
  }
}

async function ifThere<T>(got: Promise<T>): Promise<T | undefined> {
  try {
    return await got
  } catch (error) {
    if (hasCode(error, 'NotFound')) return undefined
    throw error
  }
}
