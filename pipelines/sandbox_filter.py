"""Confine a decoding process before it reads a clip: no new sockets, programs, files or privileges; limited use.

The filter is classic BPF for seccomp, see seccomp(2), handed to prctl(2): it needs no privileges and works in
containers. Some calls are allowed; calls that only an attacker would make end the process; the rest fail with EPERM.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import signal
import struct
import sys

# Name: number on x86-64, number on aarch64 (None if the call does not exist), from the kernel's tables.
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "lseek": (8, 62), "fstat": (5, 80), "close": (3, 57),
    "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "poll": (7, None), "ppoll": (271, 73),
    "brk": (12, 214), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "membarrier": (324, 283),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "exit": (60, 93), "exit_group": (231, 94),
    "getpid": (39, 172), "gettid": (186, 178), "getrandom": (318, 278), "sysinfo": (99, 179), "getcpu": (309, 168),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
}  # fmt: skip
FATAL: dict[str, tuple[int, int | None]] = {
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
}  # fmt: skip
MAPPING = ((9, 222), (10, 226))  # mmap and mprotect: allowed if nothing becomes executable
CLONE, CLONE3 = (56, 220), 435

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH
X32_BIT = 0x40000000
PROT_EXEC, CLONE_THREAD = 4, 0x10000

# Codes of linux/bpf_common.h and linux/seccomp.h.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
NUMBER, ARCH, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; of an argument, its low word

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def supported() -> str | None:
    """None if the filter works on this kind of machine, otherwise the reason why not."""
    if sys.platform != "linux":
        return f"seccomp is a part of Linux, and this is {sys.platform}"
    if platform.machine() not in ARCHITECTURES:
        return f"the filter is written for {' and '.join(ARCHITECTURES)}, and this is {platform.machine()}"
    return None


def program(machine: str) -> bytes:
    """The filter's instructions.

    Args:
        machine: "x86_64" or "aarch64".
    """
    column, arch = ARCHITECTURES[machine]
    refused = ERRNO | errno.EPERM
    steps = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, arch), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        steps += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    for table, answer in ((ALLOWED, ALLOW), (FATAL, KILL)):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, answer)]
    for numbers in MAPPING:
        steps += [(EQUAL, 0, 4, numbers[column]), (LOAD, 0, 0, ARGUMENTS + 2 * 8)]
        steps += [(ANY_BIT, 0, 1, PROT_EXEC), (RETURN, 0, 0, refused), (RETURN, 0, 0, ALLOW)]
    # Decoders may only start threads. The arguments of clone3 lie behind a pointer that a filter cannot follow: the
    # filter answers that clone3 does not exist, and the C library falls back on clone.
    steps += [(EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, ARGUMENTS)]
    steps += [(ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
    steps += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | errno.ENOSYS), (RETURN, 0, 0, refused)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def die_with_parent() -> None:
    """End this process when its parent ends. Only works for children of a single-threaded parent, see prctl(2)."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def limit(memory: int, cpu: float) -> None:
    """Limit this process permanently: files cannot grow, at most eight more descriptors, no core dump.

    Args:
        memory: bytes of address space, all of it.
        cpu: seconds of processor time.
    """
    seconds = max(1, round(cpu))
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 8),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))


def lock() -> None:
    """Drop privileges and install the filter, permanently, in this single-threaded process.

    Raises:
        OSError: the kernel does not accept the filter.
    """
    code = program(platform.machine())
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    buffer = ctypes.create_string_buffer(code, len(code))
    made = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_char_p))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(made))


def _prctl(option: int, *values: int) -> None:
    call = ctypes.CDLL(None, use_errno=True).prctl
    filled = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if call(ctypes.c_int(option), *filled) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} was refused")
