// The unpacker: the one file that users download. It carries a program as PyInstaller lays it out,
// compressed; unpacks it once into a directory of its own, verifies every file at every start, and
// becomes that program (execve): one process, and nothing in the temporary directory.
//
// The build (../build.py) puts index.txt and payload.bin beside this file.
package main

import (
	_ "embed"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

//go:embed index.txt
var indexText string

//go:embed payload.bin
var payload string

// heldVariable tells the program which descriptor holds the lock of its directory.
const heldVariable = "_REMOTE_HELD_DIRECTORY"

func main() {
	program, err := parse(indexText, payload)
	if err == nil {
		err = start(program)
	}
	os.Stderr.WriteString(program.name + ": " + err.Error() + "\n")
	os.Exit(1)
}

// start becomes the program; it returns only when that fails.
func start(program *program) error {
	base, err := program.base()
	if err != nil {
		return err
	}
	store, err := openStore(base, program)
	if err != nil {
		return err
	}
	version, err := store.ready()
	if err != nil {
		return store.explain(err)
	}
	store.removeOthers()
	held := version.Fd()
	syscall.Syscall(syscall.SYS_FCNTL, held, syscall.F_SETFD, 0) // it stays open in the program
	environment := append(os.Environ(), heldVariable+"="+strconv.Itoa(int(held)))
	path := filepath.Join(store.base, program.directory(), program.name)
	err = syscall.Exec(path, os.Args, environment)
	runtime.KeepAlive(version)
	return store.explain(err)
}
