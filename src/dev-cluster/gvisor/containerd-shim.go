// containerd's shim for gVisor: upstream's, with what it needs to serve Pods under containerd 2.4 on machines that are
// containers themselves. On ordinary hosts upstream's own release does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	task "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	types "github.com/containerd/containerd/v2/pkg/protobuf/types"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/pkg/sys"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/log"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	"github.com/containerd/ttrpc"
	v1 "gvisor.dev/gvisor/pkg/shim/v1"
	"gvisor.dev/gvisor/pkg/shim/v1/extension"
)

const name = "io.containerd.runsc.v1"

// The kernel ends others first. As of containerd's own shims.
const oomScore = -999

func main() {
	shim.Run(context.Background(), &manager{Manager: v1.NewShimManager(name)})
}

// manager starts one shim for all containers of a Pod. Upstream's does so only by a file whose path is fixed for the
// whole machine (/etc/containerd/runsc/config.toml), and gives up where it may not lower an oom_score_adj.
type manager struct{ shim.Manager }

func (m *manager) Start(ctx context.Context, id string, opts shim.StartOpts) (shim.BootstrapParams, error) {
	group, err := sandboxOf(id)
	if err != nil {
		return shim.BootstrapParams{}, err
	}
	address, err := shim.SocketAddress(ctx, opts.Address, group, opts.Debug)
	if err != nil {
		return shim.BootstrapParams{}, err
	}
	params := shim.BootstrapParams{Version: 2, Address: address, Protocol: "ttrpc"}
	socket, err := shim.NewSocket(address)
	if shim.SocketEaddrinuse(err) {
		if shim.CanConnect(address) {
			return params, writeAddress(address)
		}
		// Its shim was killed.
		if err := shim.RemoveSocket(address); err != nil {
			return shim.BootstrapParams{}, fmt.Errorf("remove the socket of a shim that is gone: %w", err)
		}
		socket, err = shim.NewSocket(address)
	}
	if err != nil {
		return shim.BootstrapParams{}, fmt.Errorf("make the shim's socket: %w", err)
	}
	// Not closed when all is well: closing it would unlink it under the shim that has inherited it.
	if err := spawn(ctx, id, opts, socket.File); err != nil {
		_ = socket.Close()
		return shim.BootstrapParams{}, err
	}
	return params, writeAddress(address)
}

// sandboxOf reads the Pod's sandbox from the bundle, which is the current directory. The sandbox itself has none above it.
func sandboxOf(id string) (string, error) {
	text, err := os.ReadFile("config.json")
	if err != nil {
		return "", fmt.Errorf("read the bundle's config.json: %w", err)
	}
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return "", fmt.Errorf("read the bundle's config.json: %w", err)
	}
	if sandbox, ok := spec.Annotations["io.kubernetes.cri.sandbox-id"]; ok {
		return sandbox, nil
	}
	return id, nil
}

// spawn starts this program once more, as the shim that stays. It inherits the socket as its third file.
func spawn(ctx context.Context, id string, opts shim.StartOpts, socketFile func() (*os.File, error)) error {
	namespace, err := namespaces.NamespaceRequired(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inherited, err := socketFile()
	if err != nil {
		return err
	}
	defer inherited.Close()
	args := []string{"-namespace", namespace, "-address", opts.Address, "-id", id}
	if opts.Debug {
		args = append(args, "-debug")
	}
	command := exec.Command(self, args...)
	command.Env = append(os.Environ(), "GOMAXPROCS=2")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.ExtraFiles = []*os.File{inherited}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the shim: %w", err)
	}
	go command.Wait()
	if err := shim.WritePidFile("shim.pid", command.Process.Pid); err != nil {
		_ = command.Process.Kill()
		return err
	}
	if err := sys.SetOOMScore(command.Process.Pid, oomScore); err != nil {
		// Without CAP_SYS_RESOURCE: the shim stays, as killable as others.
		log.G(ctx).WithError(err).Debug("the shim's oom_score_adj stays as it is")
	}
	return nil
}

func writeAddress(address string) error {
	return os.WriteFile("address", []byte(address), 0o644)
}

// service is upstream's, but for its answer to a Shutdown while containers are left: nil, which ttrpc cannot send, so
// that containerd 2.4 waits for it without end.
type service struct{ extension.TaskServiceExt }

func (s service) Shutdown(ctx context.Context, request *task.ShutdownRequest) (*types.Empty, error) {
	answer, err := s.TaskServiceExt.Shutdown(ctx, request)
	if answer == nil && err == nil {
		answer = &types.Empty{}
	}
	return answer, err
}

func (s service) RegisterTTRPC(server *ttrpc.Server) error {
	task.RegisterTaskService(server, s)
	return nil
}

func init() {
	registry.Register(&plugin.Registration{
		Type:     plugins.TTRPCPlugin,
		ID:       "task",
		Requires: []plugin.Type{plugins.EventPlugin, plugins.InternalPlugin},
		InitFn: func(init *plugin.InitContext) (any, error) {
			publisher, err := init.GetByID(plugins.EventPlugin, "publisher")
			if err != nil {
				return nil, err
			}
			ending, err := init.GetByID(plugins.InternalPlugin, "shutdown")
			if err != nil {
				return nil, err
			}
			upstream, err := v1.NewShimRedirector(init.Context, publisher.(shim.Publisher), ending.(shutdown.Service))
			if err != nil {
				return nil, err
			}
			return service{upstream}, nil
		},
	})
}
