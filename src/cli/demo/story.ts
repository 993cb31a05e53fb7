import { formatDuration } from '../times.ts'
import { batchByHand, fillTheServer, lookInside, scaleIn, serveRequests, spillOver } from './chapters.ts'
import { payTheBill } from './pay-the-bill.ts'
import type { Stage } from './stage.ts'

interface Chapter {
  readonly title: string
  readonly play: (stage: Stage) => Promise<void>
  /** Needs real containers. */
  readonly real?: boolean
}

const chapters: readonly Chapter[] = [
  { title: 'Two Pods of "web" on the one server', play: fillTheServer },
  { title: 'The peak: eight of them', play: spillOver },
  { title: 'One Service over both kinds of node', play: serveRequests, real: true },
  { title: 'Looking inside a Pod on a virtual node', play: lookInside },
  { title: 'The peak is over', play: scaleIn },
  { title: 'A batch Job, sent out by hand', play: batchByHand },
  { title: 'The bill', play: payTheBill },
]

/** Plays every chapter and prints how it went. The caller turns false claims into the exit code. */
export async function playStory(stage: Stage): Promise<void> {
  const { claims, clock, output } = stage
  const beganMs = clock.monotonicMs()
  for (const [index, { title, play }] of chapters
    .filter((chapter) => !(chapter.real && stage.simulated))
    .entries()) {
    output.line()
    output.line(output.style('bold', `${index + 1}. ${title}`))
    await play(stage)
  }
  output.line()
  const took = formatDuration(clock.monotonicMs() - beganMs)
  const { all, false: broken } = claims
  if (broken.length === 0)
    output.line(output.style('green', `All ${all.length} claims hold. The story took ${took}.`))
  else
    output.line(
      output.style('red', `${broken.length} of ${all.length} claims are false. The story took ${took}.`),
    )
}
