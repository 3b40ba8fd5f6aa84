package main

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// store is the directory with the unpacked versions. Whoever changes something in it holds its lock
// (flock(2) of the directory itself); whoever runs from a version holds the lock of that directory, shared.
type store struct {
	base    string
	program *program
	root    *os.Root
}

func openStore(base string, program *program) (*store, error) {
	real, err := makePrivate(base, program.directoryVariable)
	s := &store{base: real, program: program}
	if err != nil {
		return s, s.explain(err)
	}
	if closed, _ := noexec(real); closed {
		return s, s.explain(syscall.EACCES)
	}
	if err := program.chooseLibraries(real); err != nil {
		return s, err
	}
	s.root, err = os.OpenRoot(real)
	return s, s.explain(err)
}

// ready gives the directory of this version, complete and verified, with a shared lock on it.
func (s *store) ready() (*os.File, error) {
	version, held, err := s.hold()
	if err == nil && len(s.program.faults(version)) == 0 {
		return held, nil
	}
	// Something is missing or wrong. What another start unpacks meanwhile is waited for.
	changing, err := locked(s.root, ".", syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer changing.Close()
	if err := makeFolder(s.root, s.program.directory()); err != nil {
		return nil, err
	}
	// Opened again: it may have been removed and made anew.
	if version, held, err = s.hold(); err != nil {
		return nil, err
	}
	for _, fault := range s.program.faults(version) {
		if err := s.program.repair(version, fault); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// hold opens the directory of this version and takes its lock, shared.
func (s *store) hold() (*os.Root, *os.File, error) {
	name := s.program.directory()
	if found, err := s.root.Lstat(name); err != nil || unsafe(found, true) != "" {
		return nil, nil, errors.Join(err, fs.ErrInvalid)
	}
	version, err := s.root.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	held, err := locked(version, ".", syscall.LOCK_SH)
	return version, held, err
}

// removeOthers removes versions from which nothing runs. It waits for nobody: the next start does it else.
func (s *store) removeOthers() {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil || len(entries) < 2 {
		return
	}
	changing, err := locked(s.root, ".", syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return
	}
	defer changing.Close()
	for _, entry := range entries {
		if entry.Name() == s.program.directory() {
			continue
		}
		if entry.IsDir() {
			running, err := locked(s.root, entry.Name(), syscall.LOCK_EX|syscall.LOCK_NB)
			if err != nil {
				continue
			}
			defer running.Close()
		}
		s.root.RemoveAll(entry.Name())
	}
}

// locked opens a directory and takes its lock.
func locked(root *os.Root, name string, how int) (*os.File, error) {
	opened, err := root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(opened.Fd()), how)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return opened, nil
}

// makeFolder makes a folder of ours, or replaces what is none.
func makeFolder(root *os.Root, name string) error {
	found, err := root.Lstat(name)
	if err == nil && unsafe(found, true) == "" {
		return nil
	}
	if err == nil {
		if err = root.RemoveAll(name); err != nil {
			return err
		}
	}
	return root.Mkdir(name, 0o700)
}

// explain turns an error of the system into a sentence with its cure.
func (s *store) explain(err error) error {
	if err == nil {
		return nil
	}
	elsewhere := " name a directory elsewhere with " + s.program.directoryVariable
	closed, free := noexec(s.base)
	switch {
	case closed:
		return errors.New(s.base + " is on a file system that is mounted noexec, so the program cannot run from there:" + elsewhere)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errors.New("there is no room to unpack the program into " + s.base + ": it needs " + megabytes(uint64(s.program.size())) + ", " + megabytes(free) + " are free. Make room, or" + elsewhere)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return errors.New("the program cannot be unpacked into " + s.base + " or run from there (" + err.Error() + "):" + elsewhere + " that this user can write")
	}
	return err
}

func megabytes(size uint64) string {
	return strconv.FormatUint((size+999_999)/1_000_000, 10) + " MB"
}
