/** A size in the units of the kernel's cgroup files (mm/hugetlb_cgroup.c mem_fmt). */
export function pageSizeName(bytes: bigint): string {
  const kibibytes = bytes / 1024n
  if (kibibytes >= 1024n * 1024n) return `${kibibytes / 1024n / 1024n}GB`
  return kibibytes >= 1024n ? `${kibibytes / 1024n}MB` : `${kibibytes}KB`
}
