/** How cgroups are mounted here: one folder per v1 controller, or the one tree of v2. */
export type CgroupLayout =
  | {
      readonly version: 1
      readonly controllers: ReadonlyMap<string, string>
      readonly roots: readonly string[]
    }
  | { readonly version: 2; readonly root: string }

/** Reads it off the mount table. Throws when there are no cgroups. */
export function cgroupLayout(mountinfo: string): CgroupLayout {
  const controllers = new Map<string, string>()
  const roots: string[] = []
  let unified: string | undefined
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const path = left.split(' ')[4]
    const [type, , options = ''] = right.split(' ')
    if (path === undefined || roots.includes(path)) continue
    if (type === 'cgroup2') unified ??= path
    if (type !== 'cgroup') continue
    roots.push(path)
    for (const option of options.split(',')) controllers.set(option, path)
  }
  // In the hybrid layout the v2 tree is mounted too, without controllers, and processes are placed in it as well.
  if (controllers.has('cpu') && controllers.has('memory')) {
    return { version: 1, controllers, roots: unified === undefined ? roots : [...roots, unified] }
  }
  if (unified === undefined) throw new Error('no cgroups are mounted on this machine')
  return { version: 2, root: unified }
}
