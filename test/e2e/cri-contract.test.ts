import { afterAll, beforeAll, describe } from 'vitest'
import { backendContract } from '../conformance/backend.ts'
import { criHarness } from '../support/cri-harness.ts'
import {
  missingForContainerd,
  startPrivateContainerd,
  type PrivateContainerd,
} from '../support/private-containerd.ts'

const missing = missingForContainerd()

// Real containers on a containerd of our own: what the machine lacks is named in the title.
describe.skipIf(missing.length > 0)(
  `on containerd${missing.length > 0 ? `, lacking ${missing.join()}` : ''}`,
  () => {
    let runtime: PrivateContainerd

    beforeAll(async () => {
      runtime = await startPrivateContainerd({ bridge: 'swcri0', subnet: '10.246.0.0/24' })
    })

    afterAll(async () => {
      await runtime?.destroy()
    })

    backendContract('cri', () => criHarness(runtime))
  },
)
