import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { capabilitiesIn } from '../../../lifecycle/pod-sandbox.ts'
import { lacksOf } from '../../../lifecycle/sandbox-lacks.ts'
import type { Capabilities } from '../../../model/capability.ts'
import { errorMessage, hasCode, SpillwayError } from '../../../model/errors.ts'
import type { EphemeralContainer } from '../../../model/kubernetes.ts'
import type { PodHappening } from '../../backend.ts'
import type { ContainerConfig, CriImage, ImageSpec, SandboxConfig } from '../runtime/cri-types.ts'
import { containerEnvironment } from '../translate/environment.ts'
import { runtimeSentence } from '../runtime/errors.ts'
import { attemptsOf, isCancelledStart, podAddresses } from './observe.ts'
import { afterLostStart, isForLostSandbox } from './lost-sandbox.ts'
import { removeLog } from '../logs/rotate-log.ts'
import { fieldPathOf } from '../marks.ts'
import { logPath, terminationFile } from '../paths.ts'
import { writeEtcHosts } from '../translate/pod-files.ts'
import { refuseLateContainer } from './late-container.ts'
import type { PodHandle } from './pod-context.ts'
import { handlerOfSandbox } from '../sandbox-handlers.ts'
import { sandboxHandler } from '../translate/sandbox-handler.ts'
import { configOfSandbox, lookUp, type PodStart } from './start-sandbox.ts'
import { containerConfig, type PlannedContainer } from '../translate/translate.ts'
import type { PreparedVolumes } from '../volumes/volumes.ts'

export interface ContainerStartInput extends PodStart {
  readonly planned: PlannedContainer
  readonly attempt: number
  /** The restart back-off that is in force for it. */
  readonly backoffMs: number
  readonly volumes: PreparedVolumes
  readonly image: (signal: AbortSignal) => Promise<CriImage>
  /** Resolves once that attempt has what it writes to. */
  readonly files: (attempt: number) => Promise<void>
  readonly volumeImages: (signal: AbortSignal) => Promise<ReadonlyMap<string, ImageSpec>>
  /** Resolves once what the Pod sends is held to our rules. Nothing of it runs before. */
  readonly isolated: Promise<void>
  /** Aborted when the Pod is to end: for whatever waits on others. Calls to the runtime are never cut short by it. */
  readonly waits: AbortSignal
}

/**
 * Creates and starts one attempt of a container. Rejects with the reason that its waiting state shows: an image
 * reason, CreateContainerConfigError, CreateContainerError or RunContainerError.
 */
export async function startContainer(input: ContainerStartInput, signal: AbortSignal): Promise<void> {
  const { picture, planned, tools } = input
  const sandbox = picture.current
  if (sandbox?.state !== 'SANDBOX_READY') {
    throw new SpillwayError('Unavailable', 'the sandbox is lost', { reason: 'CreateContainerError' })
  }
  const fieldPath = fieldPathOf(planned.plan)
  const tell = (type: PodHappening['type'], reason: string, message: string): void =>
    input.tell({ type, reason, message, fieldPath })
  // Made by an earlier life of this process that was killed before starting it.
  let id = createdBefore(input, sandbox.id)
  if (id === undefined) {
    const made = await putTogether(input, signal).catch((error: unknown) => {
      throw failure(error, 'CreateContainerError', tell)
    })
    id = await create(input, { ...made, sandboxId: sandbox.id }, signal).catch(async (error: unknown) => {
      if (await isForLostSandbox(input, { error, attempt: input.attempt }, signal))
        throw await afterLostStart(input, { error, sandboxId: sandbox.id }, signal)
      throw failure(error, 'CreateContainerError', tell)
    })
    tell('Normal', 'Created', 'Container created')
  }
  await input.isolated
  try {
    await tools.client.startContainer(id, signal)
  } catch (error) {
    if (await isForLostSandbox(input, { error, attempt: input.attempt }, signal))
      throw await afterLostStart(input, { error, containerId: id, sandboxId: sandbox.id }, signal)
    // Why it failed is told, also when the runtime is not there to say what came of it.
    await picture.lookAtContainer(id, sandbox.id, signal).catch(() => undefined)
    throw failure(error, 'RunContainerError', tell)
  }
  await picture.lookAtContainer(id, sandbox.id, signal)
  tell('Normal', 'Started', 'Container started')
}

function createdBefore({ picture, planned }: ContainerStartInput, sandboxId: string): string | undefined {
  return picture.containers.find(
    ({ status, sandboxId: where }) =>
      where === sandboxId &&
      status.metadata.name === planned.plan.name &&
      status.state === 'CONTAINER_CREATED',
  )?.status.id
}

interface PutTogether {
  readonly config: ContainerConfig
  readonly sandboxConfig: SandboxConfig
}

async function create(
  input: ContainerStartInput,
  { sandboxId, config, sandboxConfig }: PutTogether & { readonly sandboxId: string },
  signal: AbortSignal,
): Promise<string> {
  const { tools } = input
  try {
    return await tools.client.createContainer(sandboxId, config, sandboxConfig, signal)
  } catch (error) {
    if (hasCode(error, 'Busy')) await lookUp(input, signal)
    // Not found: the image has been removed since we looked.
    if (hasCode(error, 'NotFound')) tools.images.forgetKnown()
    throw error
  }
}

/** All that the runtime is to be told of the container, whose image, files and volumes are there then. */
async function putTogether(input: ContainerStartInput, signal: AbortSignal): Promise<PutTogether> {
  const { tools, pod, sources, paths, picture, planned } = input
  const { container, plan } = planned
  if (plan.kind === 'ephemeral')
    refuseLateContainer(container, { capabilities: await capabilitiesOf(input), node: sources.node })
  const sandbox = picture.current
  const podIps = podAddresses(pod, sources.node, sandbox)
  await removeCancelledStarts(input, signal)
  const attempt = freeAttempt(input)
  // The image is fetched beside the rest, but its failure is told first, as with kubelet.
  const images = await input.volumeImages(input.waits)
  const image = await input.image(input.waits)
  const { clusterDomain } = sources.node
  const [[environment, volumeMounts], etcHosts] = await Promise.all([
    variablesAndMounts(input, { podIps, images }),
    writeEtcHosts({ pod, podDir: paths.podDir, podIps, clusterDomain }),
    input.files(attempt),
  ])
  const config = containerConfig({
    pod,
    container,
    plan,
    owner: tools.settings,
    attempt,
    backoffMs: input.backoffMs,
    podIp: podIps[0] ?? '',
    image,
    environment,
    volumeMounts,
    etcHosts,
    paths,
    machine: tools.machine,
    seccompProfiles: tools.settings.options.seccompProfiles,
    userNamespace: tools.userNamespaces.of(input.ref.uid),
    targetContainerId: targetContainerId(input),
  })
  const sandboxConfig = configOfSandbox(input, sandbox?.metadata.attempt ?? 0)
  return { config, sandboxConfig }
}

async function capabilitiesOf(input: ContainerStartInput): Promise<Capabilities> {
  return capabilitiesIn(await handlerOf(input), input.tools.capabilities())
}

/**
 * That the sandbox was made by: a pool that says something else by now, or nothing any more, keeps no container of a
 * running sandbox from starting.
 */
async function handlerOf({ tools, pod, sources, picture, waits }: ContainerStartInput) {
  const made = handlerOfSandbox(picture.current, tools.runtime.facts)
  return made ? { ...made, lacks: lacksOf(made) } : await sandboxHandler({ tools, pod, sources }, waits)
}

/** The container whose processes an ephemeral one is to see; undefined when it names none. */
function targetContainerId({ picture, planned }: ContainerStartInput): string | undefined {
  const name = (planned.container as EphemeralContainer).targetContainerName
  if (!name) return undefined
  const [target] = attemptsOf(picture, name)
  if (target) return target.status.id
  throw new SpillwayError('NotFound', `unable to find target container ${name}`, {
    reason: 'CreateContainerConfigError',
  })
}

/** The variables first: sub-paths may name them. */
async function variablesAndMounts(
  input: ContainerStartInput,
  { podIps, images }: { readonly podIps: readonly string[]; readonly images: ReadonlyMap<string, ImageSpec> },
) {
  const { pod, paths, sources, planned, volumes, waits } = input
  const { container } = planned
  const [variables, { recursiveReadOnlyMounts: recursiveReadOnly }] = await Promise.all([
    containerEnvironment({ pod, podDir: paths.podDir, container, podIps, sources }, waits),
    handlerOf(input),
  ])
  const environment = new Map(variables.map(({ key, value }) => [key, value]))
  const options = { environment, images, recursiveReadOnly }
  return [variables, await volumes.mountsFor(container, options, waits)] as const
}

/** Frees their names: what never ran must not count as a restart. */
async function removeCancelledStarts(
  { tools, picture, planned }: ContainerStartInput,
  signal: AbortSignal,
): Promise<void> {
  for (const { status } of picture.containers) {
    if (status.metadata.name !== planned.plan.name || !isCancelledStart(status)) continue
    await tools.client.removeContainer(status.id, signal)
    picture.drop(status.id)
  }
}

/** Names are reserved per attempt: a number that the runtime knows already would be refused for ever. */
function freeAttempt({ picture, planned, attempt }: ContainerStartInput): number {
  const used = picture.containers
    .filter(({ status }) => status.metadata.name === planned.plan.name)
    .map(({ status }) => status.metadata.attempt)
  return Math.max(attempt, ...used.map((taken) => taken + 1))
}

function failure(
  error: unknown,
  reason: string,
  tell: (type: PodHappening['type'], reason: string, message: string) => void,
): SpillwayError {
  const known = error instanceof SpillwayError ? error : undefined
  // Images have told the sentence themselves; of the container, kubelet says the bare reason, at each look.
  if (known?.reason?.includes('Image')) {
    tell('Warning', 'Failed', `Error: ${known.reason}`)
    return known
  }
  const message = known?.reason ? errorMessage(error) : runtimeSentence(error)
  tell('Warning', 'Failed', `Error: ${message}`)
  return new SpillwayError(known?.code ?? 'Unavailable', message, {
    reason: known?.reason ?? reason,
    cause: error,
    ...(known?.afterMs !== undefined && { afterMs: known.afterMs }),
  })
}

/**
 * Of each container the last two attempts are evidence; older ones go, with their logs and messages. Those first: nobody
 * would look for the files of a container that the runtime has no more.
 */
export async function removeOldAttempts(
  { tools, picture, paths, notes }: PodHandle,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  for (const { status } of attemptsOf(picture, name).slice(2)) {
    if (status.state !== 'CONTAINER_EXITED') continue
    const { attempt } = status.metadata
    await removeLog(join(paths.logDir, logPath(name, attempt)))
    await rm(terminationFile(paths.podDir, name, attempt), { force: true })
    await notes.drop(name, attempt)
    await tools.client.removeContainer(status.id, signal)
    picture.drop(status.id)
  }
}
