import type { PodSpec } from '../../src/model/kubernetes.ts'

/** One thing that a hostile Pod does to whoever runs it. Each ends by itself. */
export interface Abuse {
  readonly name: string
  /** For `sh -c` in busybox. */
  readonly script: string
  readonly spec?: Partial<PodSpec>
  readonly mounts?: readonly { readonly name: string; readonly mountPath: string }[]
  /** What its log, its status or an event has to say in the end. */
  readonly contained: RegExp
}

const seconds = 8

/** Tells by a line of its own whether the command did what it should not. What it would change, it sets to what it is. */
const attempt = (what: string, command: string): string =>
  `if sh -c '${command}' >/dev/null 2>/tmp/why; then echo "LET ${what}"; else echo "refused ${what}: $(head -n 1 /tmp/why)"; fi`

const rewrite = (file: string): string => attempt(file, `cat ${file} > /tmp/was && cat /tmp/was > ${file}`)

export const abuses: readonly Abuse[] = [
  {
    name: 'fork-bomb',
    script: `i=0; while [ $i -lt 20000 ]; do sleep ${seconds} & i=$((i+1)); done; echo "LET $i processes"`,
    contained: /can't fork|OOMKilled/,
  },
  {
    name: 'memory-bomb',
    script: 'exec tail /dev/zero',
    contained: /OOMKilled/,
  },
  {
    name: 'memory-files',
    script:
      'for d in /dev/shm /memory; do dd if=/dev/zero of=$d/fill bs=1M count=512 && echo "LET $d"; done; echo over',
    spec: { volumes: [{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '32Mi' } }] },
    mounts: [{ name: 'memory', mountPath: '/memory' }],
    contained: /over|OOMKilled|Evicted/,
  },
  {
    name: 'disk-fill',
    script: 'dd if=/dev/zero of=/fill bs=1M count=400; sleep 120; echo "LET 400 MiB stay"',
    contained: /Evicted/,
  },
  {
    name: 'inode-fill',
    script: 'mkdir /many && cd /many && seq 1 20000 | xargs touch; echo "made $(ls | wc -l) files"',
    contained: /made \d+ files|Evicted/,
  },
  {
    name: 'log-flood',
    script: `timeout ${seconds} yes 0123456789012345678901234567890123456789012345678901234567890123; echo over`,
    contained: /over|Evicted/,
  },
  {
    name: 'descriptors',
    script: `mkdir /many; awk 'BEGIN { for (i = 0; i < 50000; i++) print i > ("/many/" i) }'; echo "opened $(ls /many | wc -l)"`,
    contained: /opened \d+|OOMKilled|Evicted/,
  },
  {
    name: 'kernel-settings',
    script: [
      ...['kernel/randomize_va_space', 'kernel/core_pattern', 'vm/overcommit_memory', 'kernel/panic'].map(
        (name) => rewrite(`/proc/sys/${name}`),
      ),
      rewrite('/sys/kernel/mm/transparent_hugepage/enabled'),
      attempt('sysrq', 'echo h > /proc/sysrq-trigger'),
      attempt('caches', 'echo 1 > /proc/sys/vm/drop_caches'),
      'echo over',
    ].join('\n'),
    contained: /over/,
  },
  {
    name: 'devices',
    script: [
      ...['b 8 0', 'b 254 0', 'b 259 0', 'c 1 1', 'c 1 2'].map((device, at) =>
        attempt(`device ${device}`, `mknod /tmp/d${at} ${device} && head -c 1 /tmp/d${at}`),
      ),
      attempt('kcore', 'head -c 1 /proc/kcore | grep -q .'),
      attempt('kmsg', 'test -e /dev/kmsg && head -c 1 /dev/kmsg'),
      attempt('mem', 'test -e /dev/mem'),
      'echo over',
    ].join('\n'),
    contained: /over/,
  },
  {
    name: 'privileges',
    script: [
      attempt('mount', 'mount -t tmpfs none /mnt'),
      attempt('bind', 'mount -o bind /tmp /mnt'),
      attempt('remount', 'mount -o remount,rw /sys'),
      attempt('module', 'insmod /bin/busybox'),
      attempt('other processes', 'ls -d /proc/[0-9]*/ | wc -l | grep -qE "[0-9]{3}"'),
      // Busybox says that it cannot, and ends well.
      attempt('clock', '! date -s "@$(date +%s)" 2>&1 | grep -q "set date"'),
      attempt('hostname', 'hostname other'),
      attempt('network', 'ip link set lo down'),
      attempt('root of the machine', 'chroot /proc/1/root test -e /var/lib/spillway'),
      attempt('socket of containerd', 'ls /run/containerd /run/spillway'),
      'echo over',
    ].join('\n'),
    contained: /over/,
  },
]
