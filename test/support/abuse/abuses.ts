import type { Abuse } from './abuse.ts'
import { imageAbuses } from './image-abuses.ts'
import { programAbuses } from './program-abuses.ts'
import { shellAbuses } from './shell-abuses.ts'

/** In the order in which `npm run security` does them. */
export const abuses: readonly Abuse[] = [...shellAbuses, ...programAbuses, ...imageAbuses]
