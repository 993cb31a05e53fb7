import { startExtraRegistry, type ExtraRegistry } from './extra-registry.ts'
import type { Story } from './story.ts'

/** An image registry that lets nobody in without a login; it holds what the cluster's own registry holds. */
export interface LoginRegistry extends ExtraRegistry {
  readonly user: string
  readonly password: string
}

const user = 'puller'
const password = 'let-me-in'
// The registry knows bcrypt only, and Node does not have it.
const logins = `${user}:$2y$05$abcdefghijklmnopqrstuu3Jd./u/rH1RxB6auX5v7gLP6uWhKCgG\n`

export async function startLoginRegistry(story: Story): Promise<LoginRegistry> {
  const registry = await startExtraRegistry(story, { name: 'registry-with-login', port: 5443, logins })
  return { ...registry, user, password }
}
