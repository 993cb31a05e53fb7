import { describe, expect, it } from 'vitest'
import { credentialsFor } from '../../../src/backends/cri/image-credentials.ts'
import { defaultPullPolicy, parseImageName } from '../../../src/backends/cri/image-name.ts'
import type { Secret } from '../../../src/model/kubernetes.ts'

describe('the name of an image', () => {
  it.each([
    ['nginx', 'nginx:latest', 'docker.io/library/nginx'],
    ['team/app:v1', 'team/app:v1', 'docker.io/team/app'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app'],
    ['registry:5000/a/b:c', 'registry:5000/a/b:c', 'registry:5000/a/b'],
    [`quay.example/x@sha256:${'0'.repeat(64)}`, `quay.example/x@sha256:${'0'.repeat(64)}`, 'quay.example/x'],
  ])('%s is read', (text, reference, repository) => {
    expect(parseImageName(text)).toEqual({ reference, repository })
  })

  it.each(['', 'Upper', 'a//b', 'a:b:c', 'a@sha256:12', 'a b', 'a:-tag'])('"%s" is refused', (text) => {
    expect(() => parseImageName(text)).toThrow(expect.objectContaining({ reason: 'InvalidImageName' }))
  })

  it('decides when it is pulled, unless told', () => {
    expect(['a', 'a:latest', 'a:1'].map(defaultPullPolicy)).toEqual(['Always', 'Always', 'IfNotPresent'])
  })
})

describe('credentials for a registry', () => {
  const secret = (auths: Record<string, object>): Secret => ({
    metadata: { name: 'pull' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  })
  const user = (username: string) => ({ username, password: 'x' })
  const found = (repository: string, auths: Record<string, object>) =>
    credentialsFor(repository, [secret(auths)]).auths.map(({ username }) => username)

  it('are found by host and path, the most specific first', () => {
    const auths = {
      'r.example': user('all'),
      'r.example/team': user('team'),
      'r.example/other': user('other'),
      'elsewhere.example': user('elsewhere'),
    }
    expect(found('r.example/team/app', auths)).toEqual(['team', 'all'])
  })

  it('are found for every host of a domain by a star, which stands for one label', () => {
    const auths = { '*.r.example': user('star') }
    expect(found('eu.r.example/app', auths)).toEqual(['star'])
    expect(found('a.eu.r.example/app', auths)).toEqual([])
  })

  it('of Docker Hub are known under its old address', () => {
    expect(found('docker.io/library/nginx', { 'https://index.docker.io/v1/': user('hub') })).toEqual(['hub'])
  })

  it('are taken from the joined form, with colons in the password', () => {
    const auth = Buffer.from('me:p:w').toString('base64')
    expect(credentialsFor('r.example/a', [secret({ 'r.example': { auth } })]).auths[0]).toMatchObject({
      username: 'me',
      password: 'p:w',
    })
  })

  it('that cannot be read are named, and do not hide the others', () => {
    const broken: Secret = { metadata: { name: 'bad' }, type: 'kubernetes.io/dockercfg', data: {} }
    const { auths, problems } = credentialsFor('r.example/a', [broken, secret({ 'r.example': user('me') })])
    expect(auths).toHaveLength(1)
    expect(problems).toEqual([expect.stringContaining('"bad"')])
  })
})
