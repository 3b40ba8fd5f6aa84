package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

const mountedNoexec = 8 // ST_NOEXEC of statvfs(3)

// libcOf gives N of the glibc 2.N to which this dynamic loader belongs; 0 when it is older than
// 2.33, when it is another C library's, or when there is none.
func libcOf(loader string) int {
	content, err := os.ReadFile(loader)
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(content), " release version 2.")
	if !found {
		return 0
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	version, err := strconv.Atoi(rest[:max(end, 0)])
	if err != nil {
		return 0
	}
	return version
}

// noexec tells whether nothing can be executed below this path, and how many bytes are free there.
func noexec(path string) (bool, uint64) {
	var found syscall.Statfs_t
	if syscall.Statfs(path, &found) != nil {
		return false, 0
	}
	return found.Flags&mountedNoexec != 0, found.Bavail * uint64(found.Bsize)
}
