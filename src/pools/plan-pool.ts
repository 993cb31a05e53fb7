/** One node of a pool, as it stands. */
export interface PoolNode {
  readonly ordinal: number
  /** Pods there that have not ended and would have to be moved. */
  readonly pods: number
  readonly retiring: boolean
  readonly cordoned: boolean
}

export interface PoolPlan {
  /** Ordinals of nodes that are to come. */
  readonly add: readonly number[]
  /** Of nodes that are to be emptied and to go, those included that already are. */
  readonly retire: readonly number[]
}

/** Which nodes a pool of that many replicas keeps, gets and gives up. */
export function planPool(replicas: number, nodes: readonly PoolNode[]): PoolPlan {
  const surplus = Math.max(nodes.length - replicas, 0)
  const retire = [...nodes]
    .sort(byDispensability)
    .slice(0, surplus)
    .map(({ ordinal }) => ordinal)
  return { add: freeOrdinals(replicas - nodes.length, nodes), retire }
}

/**
 * Who goes first: one that is on its way already, so that a restart changes nothing; an empty one, if possible one that
 * people have cordoned; a cordoned one, which is how people say which; the one with the fewest Pods; the newest.
 */
function byDispensability(a: PoolNode, b: PoolNode): number {
  const empty = ({ pods }: PoolNode): boolean => pods === 0
  return (
    Number(b.retiring) - Number(a.retiring) ||
    Number(empty(b)) - Number(empty(a)) ||
    Number(b.cordoned) - Number(a.cordoned) ||
    a.pods - b.pods ||
    b.ordinal - a.ordinal
  )
}

function freeOrdinals(count: number, nodes: readonly PoolNode[]): number[] {
  const taken = new Set(nodes.map(({ ordinal }) => ordinal))
  const free: number[] = []
  for (let ordinal = 0; free.length < count; ordinal += 1) if (!taken.has(ordinal)) free.push(ordinal)
  return free
}
