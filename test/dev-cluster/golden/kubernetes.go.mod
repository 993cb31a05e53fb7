module spillway-build

go 1.26.0

godebug default=go1.26

require (
	k8s.io/kubernetes v1.37.2
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	github.com/blang/semver/v4 v4.0.0
	go.etcd.io/etcd/api/v3 v3.7.0
	k8s.io/klog/v2 v2.140.0
	golang.org/x/net v0.57.0
	sigs.k8s.io/yaml v1.6.0
)

replace (
	k8s.io/api => k8s.io/api v0.37.2
	k8s.io/apimachinery => k8s.io/apimachinery v0.37.2
	k8s.io/sample-apiserver => k8s.io/sample-apiserver v0.37.2
)
