// What the abuse tests run inside of Pods: what a shell cannot do, or not fast enough. Every command calls with arguments
// that do no harm where they are let through, and says in a line each what came of it.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	commands := map[string]func(arguments []string){
		"syscalls":  func([]string) { tellSyscalls() },
		"processes": tellProcesses,
		"prey":      func([]string) { time.Sleep(90 * time.Second) },
		"packets":   sendPackets,
		"swap":      swap,
		"rank":      func([]string) { fmt.Printf("effective user %d\n", os.Geteuid()) },
		"nothing":   func([]string) {},
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("found %q; allowed: syscalls, processes, prey, packets, swap, rank, nothing", os.Args[1:]))
	}
	refuseOutsideOfPods()
	commands[os.Args[1]](os.Args[2:])
}

// Where these calls are let through they mount, set clocks and rename the machine: as root outside of a Pod, nothing runs.
func refuseOutsideOfPods() {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		fail(err)
	}
	if held[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0 || os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		fail(errors.New("this program does harm outside of a Pod, or in one that has CAP_SYS_ADMIN"))
	}
}

func fail(err error) {
	fmt.Println("failed:", err)
	os.Exit(1)
}

// ---- system calls

// Not let in: by the filter, for want of a capability, or because there is no such call here. Anything else has come past
// the door, also when it then stumbles over its arguments.
var refusals = []syscall.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EAFNOSUPPORT}

type attempt struct {
	name string
	call func() syscall.Errno
}

func tellSyscalls() {
	for _, attempt := range append(attempts(), attemptsOfProcessor()...) {
		errno := onThreadOfItsOwn(attempt.call)
		outcome, why := "answered", "done"
		if errno != 0 {
			why = unix.ErrnoName(errno)
		}
		if slices.Contains(refusals, errno) {
			outcome = "refused"
		}
		fmt.Printf("%s %s (%s)\n", outcome, attempt.name, why)
	}
	fmt.Println("over")
}

// A thread that has left a namespace is not one to go on with: it ends with its goroutine.
func onThreadOfItsOwn(call func() syscall.Errno) syscall.Errno {
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread()
		done <- call()
	}()
	return <-done
}

func raw(number uintptr, arguments ...uintptr) func() syscall.Errno {
	var all [6]uintptr
	copy(all[:], arguments)
	return func() syscall.Errno {
		_, _, errno := syscall.Syscall6(number, all[0], all[1], all[2], all[3], all[4], all[5])
		return errno
	}
}

// What the calls are given pointers to: no collection takes it away in between.
var kept [][]byte

func keep(value []byte) uintptr {
	kept = append(kept, value)
	return uintptr(unsafe.Pointer(&value[0]))
}

func keepText(value string) uintptr { return keep(append([]byte(value), 0)) }
func keepEmpty() uintptr            { return keep(make([]byte, 256)) }

const none = ^uintptr(0)

func attempts() []attempt {
	here := unix.AT_FDCWD
	cwd := uintptr(here)
	perfAttributes := make([]byte, 128)
	binary.NativeEndian.PutUint32(perfAttributes, unix.PERF_TYPE_SOFTWARE)
	binary.NativeEndian.PutUint32(perfAttributes[4:], uint32(len(perfAttributes)))
	// Eight bytes of handle, of type 1.
	handle := append([]byte{8, 0, 0, 0, 1, 0, 0, 0}, make([]byte, 128)...)
	const processKeyring, userKeyring = none - 1, none - 3
	return append(entered(), []attempt{
		{"bpf: load a program", raw(unix.SYS_BPF, unix.BPF_PROG_LOAD, keepEmpty(), 128)},
		{"bpf: make a map", raw(unix.SYS_BPF, unix.BPF_MAP_CREATE, keepEmpty(), 72)},
		{"add_key", raw(unix.SYS_ADD_KEY, keepText("user"), keepText("abuse"), keepText("x"), 1, processKeyring)},
		{"request_key", raw(unix.SYS_REQUEST_KEY, keepText("user"), keepText("abuse"), 0, 0)},
		{"keyctl", raw(unix.SYS_KEYCTL, 0, userKeyring, 0)},
		{"perf_event_open", raw(unix.SYS_PERF_EVENT_OPEN, keep(perfAttributes), 0, none, none, 0)},
		{"userfaultfd", raw(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|1)},
		{"io_uring_setup", raw(unix.SYS_IO_URING_SETUP, 1, keepEmpty())},
		{"io_uring_register", raw(unix.SYS_IO_URING_REGISTER, none, 0, 0, 0)},
		{"kexec_load", raw(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)},
		{"init_module", raw(unix.SYS_INIT_MODULE, keepEmpty(), 1, keepText(""))},
		{"finit_module", raw(unix.SYS_FINIT_MODULE, none, keepText(""), 0)},
		{"delete_module", raw(unix.SYS_DELETE_MODULE, keepText("abuse"), unix.O_NONBLOCK)},
		{"name_to_handle_at", raw(unix.SYS_NAME_TO_HANDLE_AT, cwd, keepText("/"), keep(handle), keepEmpty(), 0)},
		{"open_by_handle_at", raw(unix.SYS_OPEN_BY_HANDLE_AT, cwd, keep(handle), unix.O_RDONLY)},
		{"mount", raw(unix.SYS_MOUNT, keepText("none"), keepText("/tmp"), keepText("tmpfs"), 0, 0)},
		{"mount: bind", raw(unix.SYS_MOUNT, keepText("/proc"), keepText("/tmp"), 0, unix.MS_BIND, 0)},
		{"umount2", raw(unix.SYS_UMOUNT2, keepText("/tmp"), unix.MNT_DETACH)},
		{"pivot_root", raw(unix.SYS_PIVOT_ROOT, keepText("/"), keepText("/"))},
		{"fsopen", raw(unix.SYS_FSOPEN, keepText("tmpfs"), 0)},
		{"open_tree", raw(unix.SYS_OPEN_TREE, cwd, keepText("/"), unix.OPEN_TREE_CLONE)},
		{"move_mount", raw(unix.SYS_MOVE_MOUNT, none, keepText(""), none, keepText(""), 0)},
		{"mount_setattr", raw(unix.SYS_MOUNT_SETATTR, none, keepText(""), 0, keepEmpty(), 32)},
		{"setns: network", func() syscall.Errno { return setNamespace("net") }},
		{"setns: mounts", func() syscall.Errno { return setNamespace("mnt") }},
		{"swapon", raw(unix.SYS_SWAPON, keepText("/abuse"), 0)},
		{"swapoff", raw(unix.SYS_SWAPOFF, keepText("/abuse"))},
		// By a number that is none of its: who may not is told before that is looked at.
		{"reboot", raw(unix.SYS_REBOOT, 1, 2, 3, 0)},
		{"settimeofday", setTimeOfDay},
		{"clock_settime", setClock},
		{"adjtimex", adjustClock},
		{"acct", raw(unix.SYS_ACCT, 0)},
		{"quotactl", raw(unix.SYS_QUOTACTL, 0x800001<<8, 0, 0, 0)},
		{"syslog", raw(unix.SYS_SYSLOG, 3, keepEmpty(), 256)},
		{"sethostname", raw(unix.SYS_SETHOSTNAME, keepText("abuse"), 5)},
		{"setdomainname", raw(unix.SYS_SETDOMAINNAME, keepText("abuse"), 5)},
		{"vhangup", raw(unix.SYS_VHANGUP)},
		{"personality: no randomization", raw(unix.SYS_PERSONALITY, 0x0040000)},
		{"set_mempolicy", raw(unix.SYS_SET_MEMPOLICY, 0, 0, 0)},
		{"migrate_pages", raw(unix.SYS_MIGRATE_PAGES, 0, 0, 0, 0)},
		{"fanotify_init", raw(unix.SYS_FANOTIFY_INIT, 0, 0)},
		{"kcmp", raw(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getpid()), 0, 0, 0)},
		{"pidfd_getfd", raw(unix.SYS_PIDFD_GETFD, none, 0, 0)},
		{"process_madvise", raw(unix.SYS_PROCESS_MADVISE, none, 0, 0, 0, 0)},
		{"clone3", raw(unix.SYS_CLONE3, 0, 0)},
		{"capset: all capabilities", raiseCapabilities},
		{"sched_setscheduler: real time", raw(unix.SYS_SCHED_SETSCHEDULER, 0, 1, keep([]byte{1, 0, 0, 0}))},
		{"socket: the kernel's cryptography", raw(unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET, 0)},
		{"socket: to virtual machines", raw(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
	}...)
}

// Numbers that other processors do not have.
func attemptsOfProcessor() []attempt {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	const iopl, ioperm, bpf, x32 = 172, 173, 321, 0x40000000
	return []attempt{
		{"iopl", raw(iopl, 3)},
		{"ioperm", raw(ioperm, 0x80, 1, 1)},
		{"bpf, by its number of x32", raw(x32|bpf, unix.BPF_PROG_LOAD, keepEmpty(), 128)},
	}
}

var namespaces = []struct {
	name string
	flag uintptr
}{
	{"user", unix.CLONE_NEWUSER},
	{"mount", unix.CLONE_NEWNS},
	{"process", unix.CLONE_NEWPID},
	{"network", unix.CLONE_NEWNET},
	{"host name", unix.CLONE_NEWUTS},
	{"IPC", unix.CLONE_NEWIPC},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"time", unix.CLONE_NEWTIME},
}

// Namespaces of one's own, for this process and for a new one.
func entered() []attempt {
	var all []attempt
	for _, namespace := range namespaces {
		all = append(all, attempt{"unshare: " + namespace.name, raw(unix.SYS_UNSHARE, namespace.flag)})
	}
	for _, namespace := range namespaces[:4] {
		call := func() syscall.Errno { return clone(namespace.flag) }
		all = append(all, attempt{"clone: " + namespace.name, call})
	}
	return all
}

func clone(flag uintptr) syscall.Errno {
	child := exec.Command("/proc/self/exe", "nothing")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flag}
	return errnoOf(child.Run())
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if err == nil || !errors.As(err, &errno) {
		return 0
	}
	return errno
}

func setNamespace(kind string) syscall.Errno {
	file, err := os.Open("/proc/1/ns/" + kind)
	if err != nil {
		return errnoOf(err)
	}
	defer file.Close()
	return raw(unix.SYS_SETNS, file.Fd(), 0)()
}

// To what it is.
func setTimeOfDay() syscall.Errno {
	var now unix.Timeval
	unix.Gettimeofday(&now)
	return errnoOf(unix.Settimeofday(&now))
}

func setClock() syscall.Errno {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_REALTIME, &now)
	return errnoOf(unix.ClockSettime(unix.CLOCK_REALTIME, &now))
}

func adjustClock() syscall.Errno {
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		return errnoOf(err)
	}
	state.Modes = unix.ADJ_TICK
	_, err := unix.Adjtimex(&state)
	return errnoOf(err)
}

func raiseCapabilities() syscall.Errno {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0)}, {Effective: 0x1ff, Permitted: 0x1ff}}
	return errnoOf(unix.Capset(&header, &all[0]))
}

// ---- processes of others

// Where a program without position-independent code is mapped, as this one is.
const programAddress = 0x400000

// The first argument is the highest number to try. Waits for who is named after it: those who share processes do not start
// at once.
func tellProcesses(arguments []string) {
	if len(arguments) == 0 {
		fail(errors.New("found no number; allowed: the highest process to try, and whom to wait for"))
	}
	highest, err := strconv.Atoi(arguments[0])
	if err != nil {
		fail(err)
	}
	awaited := arguments[1:]
	for began := time.Now(); len(awaited) > 0 && time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		if hasOtherCalled(awaited[0]) {
			break
		}
	}
	mine := threads()
	var found []int
	for pid := 1; pid <= highest; pid++ {
		if !mine[pid] && exists(pid) {
			found = append(found, pid)
		}
	}
	// Some of this program's threads are younger than the list of them.
	mine = threads()
	for _, pid := range found {
		if !mine[pid] && !isThreadOfAnother(pid) {
			fmt.Printf("sees %s: %s\n", nameOf(pid), strings.Join(whatWorks(pid), ", "))
		}
	}
	fmt.Printf("tried 1 to %d\n", highest)
}

func hasOtherCalled(argument string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	own := fmt.Sprintf("/proc/%d/cmdline", os.Getpid())
	for _, file := range files {
		if content, _ := os.ReadFile(file); file != own && bytes.Contains(content, []byte("\x00"+argument+"\x00")) {
			return true
		}
	}
	return false
}

func threads() map[int]bool {
	all := map[int]bool{os.Getpid(): true}
	entries, _ := os.ReadDir("/proc/self/task")
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			all[number] = true
		}
	}
	return all
}

// By any of the calls that take a number: one of them may see what the others do not.
func exists(pid int) bool {
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		return true
	}
	if readsMemory(pid) {
		return true
	}
	descriptor, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		unix.Close(descriptor)
	}
	return err == nil
}

// Threads have a number, too, and are no news beside their process.
func isThreadOfAnother(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), fmt.Sprintf("\nTgid:\t%d\n", pid))
}

func nameOf(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(line) == 0 {
		return fmt.Sprintf("process %d", pid)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
}

func whatWorks(pid int) []string {
	ways := []struct {
		name  string
		works func() bool
	}{
		{"signal", func() bool { return unix.Kill(pid, 0) == nil }},
		{"attach", func() bool { return attaches(pid) }},
		{"process_vm_readv", func() bool { return readsMemory(pid) }},
		{"mem", func() bool { return readsMemoryFile(pid) }},
		{"environ", func() bool { return reads(pid, "environ") }},
		{"root", func() bool { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", pid)); return err == nil }},
	}
	var working []string
	for _, way := range ways {
		if way.works() {
			working = append(working, way.name)
		}
	}
	if len(working) == 0 {
		return []string{"nothing"}
	}
	return working
}

func attaches(pid int) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.PtraceAttach(pid) != nil {
		return false
	}
	var status unix.WaitStatus
	unix.Wait4(pid, &status, unix.WALL, nil)
	unix.PtraceDetach(pid)
	return true
}

func readsMemory(pid int) bool {
	var read [16]byte
	local := []unix.Iovec{{Base: &read[0]}}
	local[0].SetLen(len(read))
	count, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: programAddress, Len: len(read)}}, 0)
	return err == nil && count > 0
}

func readsMemoryFile(pid int) bool {
	file, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return false
	}
	defer file.Close()
	count, err := file.ReadAt(make([]byte, 16), programAddress)
	return err == nil && count > 0
}

func reads(pid int, name string) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return err == nil && len(content) > 0
}

// ---- packets

// Sends pings to a neighbour as itself and as a stranger, each way that root without NET_ADMIN has.
func sendPackets(addresses []string) {
	if len(addresses) != 3 {
		fail(fmt.Errorf("found %d addresses; allowed: own, neighbour's, stranger's", len(addresses)))
	}
	own, neighbour, stranger := address(addresses[0]), address(addresses[1]), address(addresses[2])
	device, err := net.InterfaceByName("eth0")
	if err != nil {
		fail(err)
	}
	mine := device.HardwareAddr
	for range 5 {
		tell("a packet as myself", sendPacket(ping(own, neighbour), neighbour))
		tell("a packet as a stranger", sendPacket(ping(stranger, neighbour), neighbour))
		tell("a frame as myself", sendFrame(device, mine, unix.ETH_P_IP, ping(own, neighbour)))
		tell("a frame as a stranger", sendFrame(device, mine, unix.ETH_P_IP, ping(stranger, neighbour)))
		tell("a frame of other hardware", sendFrame(device, otherHardware, unix.ETH_P_IP, ping(stranger, neighbour)))
		tell("a claim of a stranger's address", sendFrame(device, mine, unix.ETH_P_ARP, claim(mine, stranger)))
		tell("a claim of the neighbour's address", sendFrame(device, mine, unix.ETH_P_ARP, claim(mine, neighbour)))
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Println("over")
}

var otherHardware = net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
var everybody = net.HardwareAddr{255, 255, 255, 255, 255, 255}

func address(text string) net.IP {
	parsed := net.ParseIP(text).To4()
	if parsed == nil {
		fail(fmt.Errorf("found %q; allowed: an IPv4 address", text))
	}
	return parsed
}

func tell(what string, err error) {
	if err != nil {
		fmt.Printf("refused %s: %v\n", what, err)
		return
	}
	fmt.Printf("sent %s\n", what)
}

func ping(from, to net.IP) []byte {
	echo := []byte{8, 0, 0, 0, 0x5a, 0x5a, 0, 1, 'a', 'b', 'u', 's', 'e', '!', '!', '!'}
	binary.BigEndian.PutUint16(echo[2:], checksum(echo))
	header := make([]byte, 20)
	header[0], header[8], header[9] = 0x45, 64, unix.IPPROTO_ICMP
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(echo)))
	copy(header[12:], from)
	copy(header[16:], to)
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return append(header, echo...)
}

func checksum(content []byte) uint16 {
	sum := uint32(0)
	for at := 0; at < len(content); at += 2 {
		sum += uint32(binary.BigEndian.Uint16(content[at:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// An ARP answer that nobody asked for: the address is mine.
func claim(mine net.HardwareAddr, claimed net.IP) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, []byte(mine), []byte(claimed), []byte(everybody), []byte(claimed))
}

func sendPacket(packet []byte, to net.IP) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	return unix.Sendto(socket, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(to)})
}

func sendFrame(device *net.Interface, from net.HardwareAddr, protocol uint16, content []byte) error {
	inNetworkOrder := protocol<<8 | protocol>>8
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(inNetworkOrder))
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	frame := slices.Concat([]byte(everybody), []byte(from), []byte{byte(protocol >> 8), byte(protocol)}, content)
	to := unix.SockaddrLinklayer{Protocol: inNetworkOrder, Ifindex: device.Index, Halen: 6}
	copy(to.Addr[:], everybody)
	return unix.Sendto(socket, frame, 0, &to)
}

// ---- a folder that is another at each look

// Each argument is FOLDER=TARGET. Changes the folders for links to their targets and back, without an end: whoever looks finds
// the one or the other, and never nothing.
func swap(arguments []string) {
	var folders []string
	for _, argument := range arguments {
		folder, target, isPair := strings.Cut(argument, "=")
		if !isPair {
			fail(fmt.Errorf("found %q; allowed: FOLDER=TARGET", argument))
		}
		if err := os.MkdirAll(filepath.Join(folder, "inside"), 0o777); err != nil {
			fail(err)
		}
		if err := os.Symlink(target, folder+".link"); err != nil {
			fail(err)
		}
		folders = append(folders, folder)
	}
	// Others may begin.
	if err := os.WriteFile(folders[0]+".ready", nil, 0o666); err != nil {
		fail(err)
	}
	for {
		for _, folder := range folders {
			exchange(folder)
			pause(time.Millisecond)
			exchange(folder)
		}
		// Long enough for some to find only the folder: who is refused every time never starts.
		pause(4 * time.Millisecond)
	}
}

func pause(longest time.Duration) { time.Sleep(time.Duration(rand.Int64N(int64(longest)))) }

func exchange(folder string) {
	here := unix.AT_FDCWD
	if unix.Renameat2(here, folder, here, folder+".link", unix.RENAME_EXCHANGE) == nil {
		return
	}
	// Not every kernel has it. There is a moment without any.
	os.Rename(folder, folder+".kept")
	os.Rename(folder+".link", folder)
	os.Rename(folder+".kept", folder+".link")
}
