"""Network namespaces of a chaos run, made with bare system calls: nothing needs to be installed.

The run itself moves into namespaces of its own (network and mounts), so that its traffic reaches no
other machine and that the kernel removes everything with the last process, however that ends. A
namespaced agent lives in one more; the only way out of it is a `Cable`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from dataclasses import dataclass

from tests.chaos.cable import Cable

SERVER_ADDRESS = "198.18.0.1"
"""RFC 2544 keeps 198.18.0.0/15 for tests of networks: it is nobody's address."""
_AGENT_ADDRESS = "198.18.0.2"
_MTU = 1400

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFDSTADDR, _SIOCSIFMTU = 0x8916, 0x8918, 0x8922
_IFF_UP = 1
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LIBC = ctypes.CDLL(None, use_errno=True)


def leave_the_host() -> str:
    """Move this process into namespaces of its own; why not, or nothing. Call it before threads."""
    try:
        _must(_LIBC.unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
        _must(_LIBC.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            _raise_interface(control, "lo", True)
    except OSError as error:
        return str(error)
    return ""


def enter(namespace: int) -> None:
    """Move the calling thread, and what it starts, into the network namespace of a descriptor."""
    _must(_LIBC.setns(namespace, _CLONE_NEWNET), "setns")


@dataclass
class Cell:
    """A network namespace with one interface, whose other end is an interface of this process's
    namespace. Both vanish when they are closed."""

    namespace: int
    """Descriptor; a child enters it by `enter`."""
    cable: Cable
    _control: socket.socket
    _interface: str

    def plug(self, on: bool) -> None:
        """`ip link set up` or `down` inside the namespace: programs see no network at all."""
        _raise_interface(self._control, self._interface, on)

    def close(self) -> None:
        """Give both interfaces and the namespace back."""
        self.cable.stop()
        self._control.close()
        os.close(self.namespace)


def make_cell(seed: int) -> Cell:
    """A cell with a good cable to this process's namespace. OSError when the host lacks means."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        here = _tunnel(control, "chaos-server", SERVER_ADDRESS, _AGENT_ADDRESS)
    made: list[tuple[int, int, socket.socket]] = []
    failed: list[OSError] = []

    def inside() -> None:
        # Only this thread moves; what it opens stays in the namespace when the thread has ended.
        try:
            _must(_LIBC.unshare(_CLONE_NEWNET), "unshare")
            control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            _raise_interface(control, "lo", True)
            there = _tunnel(control, "chaos-agent", _AGENT_ADDRESS, SERVER_ADDRESS)
            made.append((os.open("/proc/thread-self/ns/net", os.O_RDONLY), there, control))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failed:
        os.close(here)
        raise failed[0]
    namespace, there, control = made[0]
    cable = Cable(there, here, seed)
    cable.start()
    return Cell(namespace, cable, control, "chaos-agent")


def _tunnel(control: socket.socket, name: str, address: str, peer: str) -> int:
    """A point-to-point interface in the calling thread's namespace; its packets' descriptor."""
    tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        wanted = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(tunnel, _TUNSETIFF, wanted)
        _set_address(control, name, _SIOCSIFADDR, address)
        _set_address(control, name, _SIOCSIFDSTADDR, peer)
        fcntl.ioctl(control, _SIOCSIFMTU, struct.pack("16si20x", name.encode(), _MTU))
        _raise_interface(control, name, True)
    except OSError:
        os.close(tunnel)
        raise
    return tunnel


def _set_address(control: socket.socket, interface: str, request: int, address: str) -> None:
    packed = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(control, request, struct.pack("16s16s8x", interface.encode(), packed))


def _raise_interface(control: socket.socket, interface: str, up: bool) -> None:
    known = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh22x", interface.encode(), 0))
    (flags,) = struct.unpack_from("h", known, 16)
    flags = flags | _IFF_UP if up else flags & ~_IFF_UP
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", interface.encode(), flags))


def _must(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
