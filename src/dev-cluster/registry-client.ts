import { createReadStream } from 'node:fs'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { SpillwayError } from '../model/errors.ts'
import { blobPath } from './oci-layout.ts'
import type { Descriptor, ImageManifest } from './oci-layout.ts'

/** The few calls of the OCI distribution API that pushing takes, to a registry on this machine (plain HTTP, no login). */
export class RegistryClient {
  readonly #url: string

  constructor(registryUrl: string) {
    this.#url = registryUrl.replace(/\/+$/, '')
  }

  /** Digest that the tag stands for; undefined when there is none. */
  async resolve(repository: string, tag: string, signal: AbortSignal): Promise<string | undefined> {
    const answer = await this.#call('HEAD', `/v2/${repository}/manifests/${tag}`, {}, signal)
    if (answer.status === 404) return undefined
    expectStatus(answer, 200, `looking for ${repository}:${tag}`)
    return answer.headers['docker-content-digest'] as string | undefined
  }

  /** Uploads what the registry lacks of an image layout; the tag comes last, so that it never names half an image. */
  async push(
    image: {
      readonly repository: string
      readonly tag: string
      readonly layoutDir: string
      readonly manifest: ImageManifest
      readonly manifestBytes: Buffer
    },
    signal: AbortSignal,
  ): Promise<void> {
    for (const blob of [...image.manifest.layers, image.manifest.config]) {
      await this.#pushBlob(image.repository, blob, image.layoutDir, signal)
    }
    const path = `/v2/${image.repository}/manifests/${image.tag}`
    const headers = { 'content-type': image.manifest.mediaType, 'content-length': image.manifestBytes.length }
    const answer = await this.#call('PUT', path, { headers, body: image.manifestBytes }, signal)
    expectStatus(answer, 201, `tagging ${image.repository}:${image.tag}`)
  }

  async #pushBlob(
    repository: string,
    blob: Descriptor,
    layoutDir: string,
    signal: AbortSignal,
  ): Promise<void> {
    const known = await this.#call('HEAD', `/v2/${repository}/blobs/${blob.digest}`, {}, signal)
    if (known.status === 200) return
    const begun = await this.#call('POST', `/v2/${repository}/blobs/uploads/`, {}, signal)
    expectStatus(begun, 202, `beginning an upload to ${repository}`)
    const target = new URL(begun.headers.location ?? '', `${this.#url}/`)
    target.searchParams.set('digest', blob.digest)
    const headers = { 'content-type': 'application/octet-stream', 'content-length': blob.size }
    const body = { file: blobPath(layoutDir, blob.digest) }
    const answer = await this.#call('PUT', target.pathname + target.search, { headers, body }, signal)
    expectStatus(answer, 201, `uploading ${blob.digest} to ${repository}`)
  }

  async #call(method: string, path: string, content: Content, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const outgoing = request(
      `${this.#url}${path}`,
      { method, headers: content.headers ?? {}, signal },
      resolve,
    )
    outgoing.on('error', reject)
    try {
      if (content.body === undefined) outgoing.end()
      else if (Buffer.isBuffer(content.body)) outgoing.end(content.body)
      else await pipeline(createReadStream(content.body.file), outgoing)
      const response = await promise
      const text = await readText(response)
      return { status: response.statusCode ?? 0, headers: response.headers, text }
    } catch (cause) {
      signal.throwIfAborted()
      const what = cause instanceof Error ? cause.message : String(cause)
      throw new SpillwayError(
        'Unavailable',
        `the image registry at ${this.#url} cannot be reached: ${what}`,
        { cause },
      )
    }
  }
}

interface Content {
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: Buffer | { readonly file: string }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk)
  return text
}

function expectStatus(answer: Answer, expected: number, doing: string): void {
  if (answer.status === expected) return
  const said = answer.text.slice(0, 500)
  throw new SpillwayError(
    'Unavailable',
    `the image registry answered ${answer.status} while ${doing}: ${said}`,
  )
}
