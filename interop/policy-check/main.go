// Asks the library of podman, skopeo and CRI-O whether a policy allows an image.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/containers/image/v5/docker"
	"github.com/containers/image/v5/image"
	"github.com/containers/image/v5/signature"
	"github.com/containers/image/v5/types"
)

func main() {
	allowed, err := check(os.Args[1], os.Args[2], os.Args[3])
	if err != nil || !allowed {
		fmt.Println("rejected:", err)
		os.Exit(1)
	}
	fmt.Println("allowed")
}

func check(policyFile, registriesD, name string) (bool, error) {
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return false, err
	}
	decider, err := signature.NewPolicyContext(policy)
	if err != nil {
		return false, err
	}
	reference, err := docker.ParseReference(strings.TrimPrefix(name, "docker:"))
	if err != nil {
		return false, err
	}
	ctx := context.Background()
	system := &types.SystemContext{
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
		RegistriesDirPath:           registriesD,
		SystemRegistriesConfPath:    os.DevNull,
	}
	source, err := reference.NewImageSource(ctx, system)
	if err != nil {
		return false, err
	}
	defer source.Close()
	return decider.IsRunningImageAllowed(ctx, image.UnparsedInstance(source, nil))
}
