import { expect, test } from 'vitest'
import type { Backend, BackendEvent } from '../../src/backends/backend.ts'
import type { PodObservation } from '../../src/model/pod-observation.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import { Observations } from '../../src/pods/observations.ts'

const never = new AbortController().signal

function seen(uid: string): BackendEvent {
  return { kind: 'observed', pod: { uid: asPodUid(uid) } as PodObservation }
}

function telling(...events: BackendEvent[]): Backend {
  return {
    watch: async function* () {
      yield* events
    },
  } as unknown as Backend
}

test('absence means nothing before the first snapshot has ended', async () => {
  const observations = new Observations({ changed: () => {}, happened: () => {} })
  await observations.follow(telling(seen('a')), never)
  expect(observations.synced).toBe(false)
  await observations.follow(telling(seen('a'), { kind: 'synced' }), never)
  expect(observations.synced).toBe(true)
})

test('a new snapshot drops what is not in it, and says so', async () => {
  const changed: string[] = []
  const observations = new Observations({ changed: (uid) => changed.push(uid), happened: () => {} })
  await observations.follow(telling(seen('a'), seen('b'), { kind: 'synced' }), never)
  changed.length = 0
  await observations.follow(telling(seen('b'), { kind: 'synced' }), never)
  expect(observations.all().map(({ uid }) => uid)).toEqual(['b'])
  expect(changed).toEqual(['b', 'a'])
})

test('what is gone is gone', async () => {
  const observations = new Observations({ changed: () => {}, happened: () => {} })
  await observations.follow(
    telling(seen('a'), { kind: 'synced' }, { kind: 'gone', uid: asPodUid('a') }),
    never,
  )
  expect(observations.get(asPodUid('a'))).toBeUndefined()
})
