import type { NodeReading } from '../../src/kubelet-api/node-usage.ts'
import { asPodUid } from '../../src/model/pod-key.ts'
import type { FilesystemUsage, PodUsage } from '../../src/model/pod-usage.ts'
import { fakeEpochMs } from '../support/fake-clock.ts'

export const atMs = fakeEpochMs + 500

const room = { capacityBytes: 1_000n, availableBytes: 400n, inodes: 100n, freeInodes: 60n }
const files = (usedBytes: bigint): FilesystemUsage => ({ atMs, usedBytes, usedInodes: 2n, ...room })

/** A Pod with everything measured. */
export const wholePod: PodUsage = {
  uid: asPodUid('u-1'),
  namespace: 'shop',
  name: 'web',
  nodeName: 'burst-0',
  startedAtMs: fakeEpochMs - 60_000,
  cpu: { atMs, totalNanos: 2_500_000_000n, rateNanos: 100_000_000n },
  memory: {
    atMs,
    usageBytes: 90n,
    workingSetBytes: 80n,
    rssBytes: 70n,
    availableBytes: 20n,
    pageFaults: 5n,
    majorPageFaults: 1n,
  },
  network: {
    atMs,
    interfaces: [
      { name: 'eth0', receivedBytes: 10n, receiveErrors: 0n, sentBytes: 20n, sendErrors: 1n },
      { name: 'net1', receivedBytes: 1n, receiveErrors: 0n, sentBytes: 2n, sendErrors: 0n },
    ],
  },
  processes: 3n,
  containers: [
    {
      name: 'app',
      startedAtMs: fakeEpochMs - 59_000,
      cpu: { atMs, totalNanos: 2_000_000_000n },
      memory: { atMs, workingSetBytes: 60n },
      root: files(100n),
      logs: files(10n),
    },
  ],
  volumes: [
    { name: 'cache', local: true, ...files(1_000n) },
    { name: 'token', local: false, ...files(7n) },
    { name: 'data', local: false, claim: 'data-0', ...files(9n) },
  ],
  otherFiles: files(4n),
}

export const reading: NodeReading = {
  nodeName: 'burst-0',
  startedAtMs: fakeEpochMs,
  atMs,
  cpu: { atMs, totalNanos: 3_000_000_000n, rateNanos: 100_000_000n },
  memory: { atMs, workingSetBytes: 80n, availableBytes: 920n },
  pods: [wholePod],
  disk: { atMs, usedBytes: 600n, usedInodes: 40n, ...room },
  images: files(300n),
  mostProcesses: 32_768n,
}
