import { assertNever } from '../model/assert.ts'
import type { Fit } from './fit.ts'

/** What the nodes said, counted: `2 lack cpu, 1 is cordoned`. Most frequent first. */
export function describeFits(fits: readonly Fit[]): string {
  const counts = new Map<string, { count: number; say: (count: number) => string }>()
  for (const fit of fits) {
    const [word, say] = sentence(fit)
    const found = counts.get(word)
    if (found) found.count += 1
    else counts.set(word, { count: 1, say })
  }
  return [...counts.values()]
    .sort((a, b) => b.count - a.count)
    .map(({ count, say }) => say(count))
    .join(', ')
}

function sentence(fit: Fit): [word: string, say: (count: number) => string] {
  switch (fit.kind) {
    case 'fits':
      return ['fits', (count) => `${count} ${count === 1 ? 'has' : 'have'} room`]
    case 'full': {
      const what = fit.lacking.join(' and ')
      return [`full ${what}`, (count) => `${count} ${count === 1 ? 'lacks' : 'lack'} ${what}`]
    }
    case 'away':
      return fit.why.startsWith('taint ')
        ? [fit.why, (count) => `${count} ${count === 1 ? 'has' : 'have'} ${fit.why}`]
        : [fit.why, (count) => `${count} ${count === 1 ? 'is' : 'are'} ${fit.why}`]
    case 'mismatch':
      return [`mismatch ${fit.why}`, (count) => `${count} by ${fit.why}`]
    default:
      return assertNever(fit, 'fit')
  }
}
