import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a kernel setting was before a kubelet changed it, by path below `/proc/sys`. */
export type KernelSettings = Readonly<Record<string, string>>

// Kubelet sets these at its start and none of them belongs to a namespace: they change for the whole machine
// (setupKernelTunables in pkg/kubelet/cm/container_manager_linux.go). One makes a kernel oops reboot it.
const kubeletSettings: KernelSettings = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
}

/** The settings that a kubelet started now would change. Empty beside another kubelet: that one's owner restores them. */
export async function readKernelSettings(root = '/proc/sys'): Promise<KernelSettings> {
  const different: Record<string, string> = {}
  for (const [path, wanted] of Object.entries(kubeletSettings)) {
    const current = (await readFile(join(root, path), 'utf8')).trim()
    if (current !== wanted) different[path] = current
  }
  return different
}

/** Puts them back, except for one that somebody set to something else since. */
export async function restoreKernelSettings(settings: KernelSettings, root = '/proc/sys'): Promise<void> {
  for (const [path, before] of Object.entries(settings)) {
    const current = (await readFile(join(root, path), 'utf8')).trim()
    if (current === kubeletSettings[path]) await writeFile(join(root, path), before)
  }
}
