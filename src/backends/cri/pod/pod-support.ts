import { adoptionOf } from './adoption.ts'
import { errorMessage } from '../../../model/errors.ts'
import type { Pod } from '../../../model/kubernetes.ts'
import type { PodSources } from '../../backend.ts'
import type { CriImage, ImageSpec } from '../runtime/cri-types.ts'
import { fieldPathOf } from '../marks.ts'
import { makeContainerFiles } from './container-files.ts'
import { currentSandbox, owesPostStart, podAddresses } from './observe.ts'
import { EarliestTimer } from './earliest-timer.ts'
import type { PodHandle } from './pod-context.ts'
import { handlerOfSandbox } from '../sandbox-handlers.ts'
import { sandboxHandler } from '../translate/sandbox-handler.ts'
import { ProbeBoard, type FollowedContainer } from '../probes/probe-board.ts'
import { plannedContainers, type PlannedContainer } from '../translate/translate.ts'
import { volumeImages, type VolumeImagesInput } from '../volumes/volume-images.ts'
import { PodCertificates } from '../volumes/pod-certificates.ts'
import { ServiceAccountTokens } from '../volumes/service-account-tokens.ts'
import { prepareVolumes, type PreparedVolumes } from '../volumes/volumes.ts'

export interface PodSupportInput extends PodHandle {
  readonly pod: Pod
  readonly sources: PodSources
  /** Its containers were started by an earlier life of this process. */
  readonly adopting: boolean
  readonly isStopping: () => boolean
  readonly onChange: () => void
  /** A ConfigMap, Secret or the like that was read has changed. */
  readonly onSourceChange: () => void
}

// Changes of ConfigMaps and Secrets come in bursts.
const refreshDelayMs = 100
// kubelet's syncFrequency: the net under missed changes.
const refreshEveryMs = 60_000

/** What a supervised Pod stands on besides the runtime: volumes kept fresh, images under way, probes. */
export class PodSupport {
  readonly sources: PodSources
  readonly probes: ProbeBoard
  readonly #input: PodSupportInput
  readonly #end = new AbortController()
  readonly #unsubscribe: () => void
  /** By container, and which one was asked for. */
  readonly #images = new Map<string, { readonly given: string; readonly image: Promise<CriImage> }>()
  /** Of a first attempt. */
  #files: { readonly name: string; readonly made: Promise<void> } | undefined
  readonly #adopted: ReturnType<typeof adoptionOf>
  readonly #tokens: ServiceAccountTokens
  readonly #certificates: PodCertificates
  readonly #refreshes: EarliestTimer
  #pod: Pod
  #volumes: Promise<PreparedVolumes> | undefined

  constructor(input: PodSupportInput) {
    this.#input = input
    this.#pod = input.pod
    this.sources = input.sources
    this.#adopted = adoptionOf(input.adopting ? input.pod.status : undefined)
    const { tools, isStopping, onChange, onSourceChange, tell } = input
    const { clock, random } = tools
    this.#tokens = new ServiceAccountTokens(input.sources, clock, random)
    this.#certificates = new PodCertificates({ sources: input.sources, clock, random, tell })
    this.#refreshes = new EarliestTimer(clock, () => void this.#refresh())
    this.probes = new ProbeBoard({ tools, isStopping, onChange, onHappening: tell })
    this.#unsubscribe = input.sources.onChange(() => {
      this.#refreshes.in(refreshDelayMs)
      onSourceChange()
    })
    // Nothing may have to be started any more, but what containers have mounted must not grow old.
    if (input.adopting) this.#refreshes.in(0)
  }

  get pod(): Pod {
    return this.#pod
  }

  get graceSeconds(): number {
    return this.#pod.spec?.terminationGracePeriodSeconds ?? 30
  }

  fieldPath(name: string): string {
    const planned = plannedContainers(this.#pod).find(({ plan }) => plan.name === name)
    return fieldPathOf(planned?.plan ?? { kind: 'main', name })
  }

  update(pod: Pod): void {
    this.#pod = pod
    if (this.#volumes) this.#refreshes.in(0)
  }

  /** Begins what the first containers will need while their sandbox is being made. Failures show when they are asked for. */
  prepare(signal: AbortSignal): void {
    this.volumes(signal).catch(() => undefined)
    const [first] = plannedContainers(this.#pod)
    if (!first || this.#images.has(first.plan.name)) return
    const { name } = first.plan
    const image = this.#ensure(first, signal)
    image.catch(() => undefined)
    this.#images.set(name, { given: first.plan.image, image })
    const made = makeContainerFiles(this.#input.paths, { name, attempt: 0 })
    made.catch(() => undefined)
    this.#files = { name, made }
  }

  /** Makes what that attempt of a container writes to, unless that is under way. */
  files(name: string, attempt: number): Promise<void> {
    const underWay = this.#files
    this.#files = undefined
    if (underWay?.name === name && attempt === 0) return underWay.made
    return makeContainerFiles(this.#input.paths, { name, attempt })
  }

  /** The container's image: the one under way, unless its Pod has been given another meanwhile, or looked for now. */
  async image(planned: PlannedContainer, signal: AbortSignal): Promise<CriImage> {
    const { name, image } = planned.plan
    const underWay = this.#images.get(name)
    this.#images.delete(name)
    return underWay?.given === image ? underWay.image : this.#ensure(planned, signal)
  }

  /** The images that the container mounts as volumes, looked for now. */
  async volumeImages(
    { container }: PlannedContainer,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, ImageSpec>> {
    const { tools, tell, picture } = this.#input
    const ensure: VolumeImagesInput['ensure'] = (wanted, waits) =>
      tools.images.ensure({ pod: this.#pod, container: wanted, sources: this.sources, tell }, waits)
    const made = handlerOfSandbox(picture.current, tools.runtime.facts)
    const handler = made ?? (await sandboxHandler({ tools, pod: this.#pod, sources: this.sources }, signal))
    return await volumeImages({ pod: this.#pod, container, runtimeHandler: handler.name, ensure }, signal)
  }

  /** Prepared once; tried anew after a failure. */
  volumes(signal: AbortSignal): Promise<PreparedVolumes> {
    if (!this.#volumes) {
      const { tools, paths } = this.#input
      const { clock, log, shell } = tools
      const { podDir } = paths
      const credentials = { tokens: this.#tokens, certificates: this.#certificates }
      const input = {
        pod: this.#pod,
        podDir,
        sources: this.sources,
        ...credentials,
        clock,
        log,
        run: shell.run,
      }
      const volumes = prepareVolumes(input, signal)
      this.#volumes = volumes
      volumes.then(
        () => this.#refreshes.in(refreshEveryMs),
        () => (this.#volumes = undefined),
      )
    }
    return this.#volumes
  }

  /** The primary address; empty while there is none. */
  get podIp(): string {
    const sandbox = currentSandbox(this.#input.picture.sandboxes)
    return podAddresses(this.#pod, this.sources.node, sandbox)[0] ?? ''
  }

  /** Probes what runs, its postStart hook done. */
  followProbes(): void {
    const { picture, notes } = this.#input
    const { podIp } = this
    const planned = plannedContainers(this.#pod)
    const running = picture.running.flatMap((seen): FollowedContainer[] => {
      const found = planned.find(({ plan }) => plan.name === seen.status.metadata.name)
      if (!found || owesPostStart(seen, notes)) return []
      const adopted = this.#adopted.get(seen.status.id)
      return [{ seen, container: found.container, fieldPath: fieldPathOf(found.plan), podIp, adopted }]
    })
    this.probes.follow(running)
  }

  /** Nothing is started or refreshed any more; readiness goes on being probed until `close`. */
  stopWaiting(): void {
    this.#unsubscribe()
    this.#refreshes.close()
    this.#end.abort()
  }

  close(): void {
    this.stopWaiting()
    this.probes.close()
  }

  #ensure(planned: PlannedContainer, signal: AbortSignal): Promise<CriImage> {
    const { tools, tell } = this.#input
    const fieldPath = fieldPathOf(planned.plan)
    const request = { pod: this.#pod, container: planned.container, sources: this.sources, fieldPath, tell }
    return tools.images.ensure(request, signal)
  }

  async #refresh(): Promise<void> {
    let nextMs = refreshEveryMs
    try {
      const { signal } = this.#end
      // Those of a Pod that is starting are its start's business.
      const volumes = await (this.#input.adopting ? this.volumes(signal) : this.#volumes)
      const refreshed = await volumes?.refresh(this.#pod, signal)
      nextMs = Math.min(refreshed?.nextRefreshMs ?? refreshEveryMs, refreshEveryMs)
    } catch (error) {
      if (this.#end.signal.aborted) return
      this.#input.tell({ type: 'Warning', reason: 'FailedMount', message: errorMessage(error) })
    }
    this.#refreshes.in(nextMs)
  }
}
