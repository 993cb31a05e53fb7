import { attempt, scripted, type Abuse } from './abuse.ts'

const seconds = 8

const rewrite = (file: string): string => attempt(file, `cat ${file} > /tmp/was && cat /tmp/was > ${file}`)

/** What a shell is enough for. */
export const shellAbuses: readonly Abuse[] = [
  {
    // What the coming and going of any Pod costs its neighbour, for comparison.
    name: 'nothing',
    containers: () => [scripted('echo over')],
    contained: [/^over$/m],
  },
  {
    name: 'fork-bomb',
    containers: () => [
      scripted(
        `i=0; while [ $i -lt 20000 ]; do sleep ${seconds} & i=$((i+1)); done; echo "LET $i processes"`,
      ),
    ],
    contained: [/can't fork|OOMKilled/],
  },
  {
    name: 'memory-bomb',
    containers: () => [scripted('exec tail /dev/zero')],
    contained: [/OOMKilled/],
  },
  {
    name: 'memory-files',
    containers: () => [
      scripted(
        'for d in /dev/shm /memory; do dd if=/dev/zero of=$d/fill bs=1M count=512 && echo "LET $d"; done; echo over',
        { volumeMounts: [{ name: 'memory', mountPath: '/memory' }] },
      ),
    ],
    spec: () => ({ volumes: [{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '32Mi' } }] }),
    contained: [/^over$|OOMKilled|Evicted/m],
  },
  {
    name: 'disk-fill',
    containers: () => [
      scripted('dd if=/dev/zero of=/fill bs=1M count=400; sleep 120; echo "LET 400 MiB stay"'),
    ],
    contained: [/Evicted/],
  },
  {
    name: 'inode-fill',
    containers: () => [
      scripted('mkdir /many && cd /many && seq 1 20000 | xargs touch; echo "made $(ls | wc -l) files"'),
    ],
    contained: [/made \d+ files|Evicted/],
  },
  {
    name: 'log-flood',
    containers: () => [
      scripted(
        'timeout 60 yes 0123456789012345678901234567890123456789012345678901234567890123; echo "LET a minute of logs"',
      ),
    ],
    contained: [/Evicted/],
  },
  {
    name: 'descriptors',
    containers: () => [
      scripted(
        `mkdir /many; awk 'BEGIN { for (i = 0; i < 50000; i++) print i > ("/many/" i) }'; echo "opened $(ls /many | wc -l)"`,
      ),
    ],
    contained: [/opened \d+|OOMKilled|Evicted/],
  },
  {
    name: 'kernel-settings',
    containers: () => [
      scripted(
        [
          ...['kernel/randomize_va_space', 'kernel/core_pattern', 'vm/overcommit_memory', 'kernel/panic'].map(
            (name) => rewrite(`/proc/sys/${name}`),
          ),
          rewrite('/sys/kernel/mm/transparent_hugepage/enabled'),
          attempt('sysrq', 'echo h > /proc/sysrq-trigger'),
          attempt('caches', 'echo 1 > /proc/sys/vm/drop_caches'),
          'echo over',
        ].join('\n'),
      ),
    ],
    contained: [/^over$/m],
  },
  {
    name: 'devices',
    containers: () => [
      scripted(
        [
          ...['b 8 0', 'b 254 0', 'b 259 0', 'c 1 1', 'c 1 2'].map((device, at) =>
            attempt(`device ${device}`, `mknod /tmp/d${at} ${device} && head -c 1 /tmp/d${at}`),
          ),
          attempt('kcore', 'head -c 1 /proc/kcore | grep -q .'),
          attempt('kmsg', 'test -e /dev/kmsg && head -c 1 /dev/kmsg'),
          attempt('mem', 'test -e /dev/mem'),
          'echo over',
        ].join('\n'),
      ),
    ],
    contained: [/^over$/m],
  },
  {
    name: 'privileges',
    containers: () => [
      scripted(
        [
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
      ),
    ],
    contained: [/^over$/m],
  },
]
