package main

import (
	"encoding/hex"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// file is one file of the program.
type file struct {
	path       string
	mode       os.FileMode
	size       int
	sum        [32]byte // SHA-256 of what is unpacked
	packed     string   // a raw DEFLATE stream (RFC 1951)
	ownLibrary bool     // a part of the C library: unpacked only where the host's is too old
}

// program is what the index says, and what this host needs of it.
type program struct {
	name, version, digest string
	directoryVariable     string // names the directory that ours is in, before everything else
	stateVariable         string // names the state directory, for users other than root; may be empty
	rootDirectory         string
	userVariable          string // the XDG variable, and where it points when it is not set
	userDirectory         string
	hostLoader            string // the host's dynamic loader, and its path in our own libraries
	ownLoader             string
	leastLibc             int // N of the glibc 2.N that the program needs
	files                 []file
	tail                  string // the last bytes of the program's file when it uses our libraries
}

// tailSize is the room for a loader's path at the end of the program's file.
const tailSize = 1024

// ownLibraries ends the name of a directory with a C library of ours in it.
const ownLibraries = "-libc"

var errDamaged = errors.New("this file is damaged: download it again, and compare it with SHA256SUMS")

// parse reads the index: lines of `key value`, then a line for each file.
func parse(index, payload string) (*program, error) {
	p := &program{name: "remote-agent"}
	fields := map[string]*string{
		"name": &p.name, "version": &p.version, "digest": &p.digest,
		"directory-variable": &p.directoryVariable, "state-variable": &p.stateVariable,
		"root-directory": &p.rootDirectory, "user-variable": &p.userVariable,
		"user-directory": &p.userDirectory, "host-loader": &p.hostLoader, "own-loader": &p.ownLoader,
	}
	offset := 0
	for _, line := range strings.Split(strings.TrimSuffix(index, "\n"), "\n") {
		key, value, _ := strings.Cut(line, " ")
		if field := fields[key]; field != nil {
			*field = value
			continue
		}
		if key == "least-libc" {
			p.leastLibc, _ = strconv.Atoi(value)
			continue
		}
		entry, packed, err := parseFile(key, value)
		if err != nil || packed > len(payload)-offset {
			return p, errDamaged
		}
		entry.packed = payload[offset : offset+packed]
		offset += packed
		p.files = append(p.files, entry)
	}
	if offset != len(payload) || p.digest == "" {
		return p, errDamaged
	}
	return p, nil
}

// parseFile reads `file|library MODE SIZE PACKED SHA256 PATH`; it also gives the packed size.
func parseFile(key, value string) (file, int, error) {
	words := strings.SplitN(value, " ", 5)
	if len(words) != 5 || (key != "file" && key != "library") {
		return file{}, 0, errDamaged
	}
	mode, err1 := strconv.ParseUint(words[0], 8, 9)
	size, err2 := strconv.Atoi(words[1])
	packed, err3 := strconv.Atoi(words[2])
	sum, err4 := hex.DecodeString(words[3])
	entry := file{path: words[4], mode: os.FileMode(mode), size: size, ownLibrary: key == "library"}
	if copy(entry.sum[:], sum) != 32 || !filepath.IsLocal(entry.path) {
		return entry, 0, errDamaged
	}
	return entry, packed, errors.Join(err1, err2, err3, err4)
}

// directory is the name of the directory for this version, as this host needs it.
func (p *program) directory() string {
	name := p.version + "-" + p.digest
	if p.tail != "" {
		name += ownLibraries
	}
	return name
}

// chooseLibraries decides whether the host's C library will do, or ours comes along.
func (p *program) chooseLibraries(base string) error {
	if libcOf(p.hostLoader) < p.leastLibc {
		loader := filepath.Join(base, p.directory()+ownLibraries, p.ownLoader)
		if len(loader) >= tailSize {
			return errors.New(base + " is too long a path for this host, whose C library is older than glibc 2." +
				strconv.Itoa(p.leastLibc) + ": name a shorter one with " + p.directoryVariable)
		}
		p.tail = loader + strings.Repeat("\x00", tailSize-len(loader))
	}
	var chosen []file
	for _, entry := range p.files {
		if !entry.ownLibrary || p.tail != "" {
			chosen = append(chosen, entry)
		}
	}
	p.files = chosen
	return nil
}

// folders gives, for each folder, the names that belong into it.
func (p *program) folders() map[string]map[string]bool {
	folders := map[string]map[string]bool{}
	for _, entry := range p.files {
		for at := entry.path; at != "."; at = path.Dir(at) {
			folder := path.Dir(at)
			if folders[folder] == nil {
				folders[folder] = map[string]bool{}
			}
			folders[folder][path.Base(at)] = true
		}
	}
	return folders
}

func (p *program) size() (total int) {
	for _, entry := range p.files {
		total += entry.size
	}
	return total
}
