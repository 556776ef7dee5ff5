// Signs and verifies with the library of notation, and asks it whether a trust policy
// is valid:
//
//	notation-check verify CONFIG PLACE REFERENCE@DIGEST
//	notation-check sign KEY CHAIN PLACE DIGEST MEDIA-TYPE
//	notation-check policy FILE
//
// A PLACE is a layout, or docker:HOST/REPOSITORY without TLS; CONFIG is the folder of
// trustpolicy.json and truststore.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"oras.land/oras-go/v2/registry/remote"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	fmt.Println("accepted")
}

func run(words []string) error {
	switch words[0] {
	case "verify":
		return verify(words[1], words[2], words[3])
	case "sign":
		return sign(words[1], words[2], words[3], words[4], words[5])
	case "policy":
		return policy(words[1])
	}
	return fmt.Errorf("what is %q?", words[0])
}

func place(text string) (registry.Repository, error) {
	name, found := strings.CutPrefix(text, "docker:")
	if !found {
		return registry.NewOCIRepository(text, registry.RepositoryOptions{})
	}
	repository, err := remote.NewRepository(name)
	if err != nil {
		return nil, err
	}
	repository.PlainHTTP = true
	return registry.NewRepository(repository), nil
}

func verify(config, where, reference string) error {
	dir.UserConfigDir = config
	repository, err := place(where)
	if err != nil {
		return err
	}
	own, err := verifier.NewFromConfig()
	if err != nil {
		return err
	}
	options := notation.VerifyOptions{ArtifactReference: reference, MaxSignatureAttempts: 100}
	_, _, err = notation.Verify(context.Background(), own, repository, options)
	return err
}

func sign(key, chain, where, digest, mediaType string) error {
	repository, err := place(where)
	if err != nil {
		return err
	}
	own, err := signer.NewGenericSignerFromFiles(key, chain)
	if err != nil {
		return err
	}
	options := notation.SignOptions{ArtifactReference: digest}
	options.SignatureMediaType = mediaType
	_, err = notation.Sign(context.Background(), own, repository, options)
	return err
}

func policy(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document trustpolicy.Document
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	return document.Validate()
}
