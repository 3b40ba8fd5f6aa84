package main

import (
	"compress/flate"
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// fault is a file that is missing or wrong, or, without a file, an entry that does not belong here.
type fault struct {
	path string
	file *file
}

// faults compares a directory with the index. Folders that are wrong count by what they hold.
func (p *program) faults(version *os.Root) []fault {
	var found []fault
	for folder, names := range p.folders() {
		entries, err := fs.ReadDir(version.FS(), folder)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if !names[entry.Name()] {
				found = append(found, fault{path: path.Join(folder, entry.Name())})
			}
		}
	}
	wrong := make([]bool, len(p.files))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.NumCPU(), 4) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for at := next.Add(1) - 1; at < int64(len(p.files)); at = next.Add(1) - 1 {
				wrong[at] = !p.intact(version, &p.files[at])
			}
		}()
	}
	workers.Wait()
	for at := range p.files {
		if wrong[at] {
			found = append(found, fault{p.files[at].path, &p.files[at]})
		}
	}
	return found
}

// intact tells whether a file is the one of the index, and nobody but this user can write it.
func (p *program) intact(version *os.Root, entry *file) bool {
	for folder := path.Dir(entry.path); folder != "."; folder = path.Dir(folder) {
		if found, err := version.Lstat(folder); err != nil || unsafe(found, true) != "" {
			return false
		}
	}
	opened, err := version.OpenFile(entry.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer opened.Close()
	found, err := opened.Stat()
	if err != nil || found.Mode() != entry.mode || found.Size() != int64(entry.size) || int(found.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return false
	}
	content := make([]byte, entry.size)
	if _, err := io.ReadFull(opened, content); err != nil {
		return false
	}
	if p.tail != "" && entry.path == p.name {
		// The sum is that of the file as it was built, for the host's loader.
		end := content[len(content)-tailSize:]
		if string(end) != p.tail {
			return false
		}
		clear(end)
		copy(end, p.hostLoader)
	}
	return sha256.Sum256(content) == entry.sum
}

// repair puts right what is wrong. Who runs from here keeps what it has open: files are replaced.
func (p *program) repair(version *os.Root, fault fault) error {
	if fault.file == nil {
		return version.RemoveAll(fault.path)
	}
	content, err := fault.file.unpack()
	if err != nil {
		return err
	}
	if p.tail != "" && fault.path == p.name {
		content = append(content[:len(content)-tailSize], p.tail...)
	}
	folders := strings.Split(path.Dir(fault.path), "/")
	for depth := range folders {
		if folder := path.Join(folders[:depth+1]...); folder != "." {
			if err := makeFolder(version, folder); err != nil {
				return err
			}
		}
	}
	return replace(version, fault.path, content, fault.file.mode)
}

func (f *file) unpack() ([]byte, error) {
	content := make([]byte, f.size)
	_, err := io.ReadFull(flate.NewReader(strings.NewReader(f.packed)), content)
	if err != nil || sha256.Sum256(content) != f.sum {
		return nil, errDamaged
	}
	return content, nil
}

// replace writes a file beside its place, then puts it there.
func replace(version *os.Root, name string, content []byte, mode os.FileMode) error {
	fresh := name + ".new"
	if err := version.RemoveAll(fresh); err != nil {
		return err
	}
	opened, err := version.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = opened.Write(content)
	if err == nil {
		err = opened.Chmod(mode)
	}
	if closing := opened.Close(); err == nil {
		err = closing
	}
	if err == nil {
		if found, missing := version.Lstat(name); missing == nil && found.IsDir() {
			err = version.RemoveAll(name)
		}
	}
	if err == nil {
		err = version.Rename(fresh, name)
	}
	if err != nil {
		version.Remove(fresh)
	}
	return err
}
