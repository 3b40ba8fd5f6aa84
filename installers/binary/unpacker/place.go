package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// base is the directory for the unpacked versions of this program.
func (p *program) base() (string, error) {
	chosen := os.Getenv(p.directoryVariable)
	if chosen != "" {
		// People name directories that hold other things: those are neither closed nor removed.
		named, err := filepath.Abs(chosen)
		return filepath.Join(named, p.name+"-program"), err
	}
	if os.Geteuid() == 0 {
		// The state directory may be that of a service, and its account's.
		return p.rootDirectory, nil
	}
	if state := os.Getenv(p.stateVariable); p.stateVariable != "" && state != "" {
		return filepath.Abs(filepath.Join(state, "program"))
	}
	if data := os.Getenv(p.userVariable); filepath.IsAbs(data) {
		return filepath.Join(data, p.name, "program"), nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("HOME is not set, so there is no directory to unpack this program into; name one with " + p.directoryVariable)
	}
	return filepath.Join(home, p.userDirectory, p.name, "program"), nil
}

// makePrivate makes a directory that only this user can open, with the folders above it, and gives
// its real path. Nobody else may be able to replace it or a folder above it.
func makePrivate(path, variable string) (string, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return path, err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, err
	}
	for at := real; ; at = filepath.Dir(at) {
		found, err := os.Lstat(at)
		if err != nil {
			return real, err
		}
		if reason := unsafe(found, at == real); reason != "" {
			return real, errors.New(at + " " + reason + ", so another user could replace the program in " + real + ": correct that, or name another directory with " + variable)
		}
		if at == filepath.Dir(at) {
			return real, os.Chmod(real, 0o700)
		}
	}
}

// unsafe says why others can replace what is in this directory; `own`: it has to be ours.
func unsafe(found os.FileInfo, own bool) string {
	entry := found.Sys().(*syscall.Stat_t)
	user, mode := int(entry.Uid), found.Mode()
	switch {
	case !mode.IsDir():
		return "is no directory"
	case user != os.Geteuid() && (own || user != 0):
		return "belongs to user " + strconv.Itoa(user)
	case mode&os.ModeSticky != 0 && !own:
		return "" // only the owner of an entry can rename it
	case mode.Perm()&0o002 != 0:
		return "can be written by everybody"
	case mode.Perm()&0o020 != 0 && (own || int(entry.Gid) != os.Getegid()):
		return "can be written by group " + strconv.Itoa(int(entry.Gid))
	}
	return ""
}
