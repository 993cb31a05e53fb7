import { afterEach, beforeEach, expect, it } from 'vitest'
import { ClockSteps } from '../../src/app/clock-steps.ts'
import type { House } from '../../src/app/house.ts'
import { nodesVoice } from '../../src/app/nodes-voice.ts'
import { LedgerHealth } from '../../src/billing/ledger-health.ts'
import type { EventNote } from '../../src/kube/events.ts'
import { ObjectStore } from '../../src/kube/store.ts'
import { SpillwayError } from '../../src/model/errors.ts'
import type { Node } from '../../src/model/kubernetes.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, settled } from '../support/fake-clock.ts'

const corrupt = new SpillwayError('LedgerCorrupt', 'page 7 is torn')
let clock: FakeClock
let health: LedgerHealth
let notes: EventNote[]
let nodes: ObjectStore<Node>
let over: AbortController
let version = 0

/** As the watch brings it. */
function put(name: string): void {
  version += 1
  const metadata = { name, uid: `uid-${name}`, resourceVersion: String(version) }
  nodes.put({ metadata })
}

beforeEach(async () => {
  clock = new FakeClock()
  const world = { clock, log: silentLog() }
  health = new LedgerHealth(world)
  const clockSteps = new ClockSteps(world)
  notes = []
  nodes = new ObjectStore<Node>({ log: silentLog() })
  over = new AbortController()
  const events = { record: (note: EventNote) => void notes.push(note) }
  const house = { cluster: { nodes }, ledgerHealth: health, clockSteps, events } as unknown as House
  void clockSteps.run(over.signal)
  void nodesVoice(house, { names: ['burst-0', 'burst-1'] })(over.signal)
  put('burst-0')
  put('server-0')
  await settled()
})
afterEach(() => over.abort())

const told = () => notes.map(({ object, type, reason }) => `${object.name} ${type} ${reason}`)

it('tells each virtual node once that the ledger is damaged, also one that comes later, and when it is well', () => {
  health.failed(corrupt, { isWrite: true })
  put('burst-0')
  expect(told()).toEqual(['burst-0 Warning LedgerCorrupt'])
  expect(notes[0]).toMatchObject({
    object: { apiVersion: 'v1', kind: 'Node', uid: 'uid-burst-0' },
    message: expect.stringContaining('page 7 is torn; nothing new starts'),
  })
  put('burst-1')
  health.checked({ scope: 'all', atMs: 0, events: 1, problems: [] })
  put('burst-0')
  expect(told()).toEqual([
    'burst-0 Warning LedgerCorrupt',
    'burst-1 Warning LedgerCorrupt',
    'burst-0 Normal LedgerReady',
    'burst-1 Normal LedgerReady',
  ])
})

it('says nothing while all is well', () => {
  health.checked({ scope: 'all', atMs: 0, events: 1, problems: [] })
  put('burst-1')
  expect(told()).toEqual([])
})

it('tells that the wall clock was set, and by how much', async () => {
  clock.stepWall(-3_600_000)
  await clock.advance(5_000)
  expect(notes).toMatchObject([
    { reason: 'ClockSet', message: expect.stringMatching(/^the wall clock was set back by 3600 s: Pods/) },
  ])
})
