"""Run a program as uid nobody, with no capability, no way to gain one, and no namespaces.

    python unprivileged.py PROGRAM [ARGUMENT...]

What root may do is given up in this process: the groups, the bounding set of capabilities, the ids. It
cannot be had back (NoNewPrivs), and a filter of system calls refuses what makes or enters a namespace, or
mounts: unshare, setns, mount, chroot, pivot_root, and clone with any flag for one. So what runs here needs
neither privilege nor a user namespace, without which no container is made.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)
SET_NO_NEW_PRIVS, CAPBSET_READ, CAPBSET_DROP, SET_SECCOMP, AMBIENT = 38, 23, 24, 22, 47
FILTER, CLEAR_ALL = 2, 4

# Of each architecture: its number for audits, clone, and what is refused outright; clone3 has one
# number everywhere.
CALLS = {
    "x86_64": (0xC000003E, 56, [272, 308, 165, 161, 155, 428, 429, 432, 442]),
    "aarch64": (0xC00000B7, 220, [97, 268, 40, 51, 41, 428, 429, 432, 442]),
}
CLONE3 = 435
NAMESPACES = (
    0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000
)
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16


def check(status: int) -> None:
    if status < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def prctl(*arguments: int) -> int:
    return LIBC.prctl(
        *[ctypes.c_ulong(each) for each in arguments], *[ctypes.c_ulong(0)] * (5 - len(arguments))
    )


def drop_privileges() -> None:
    number = 0
    while prctl(CAPBSET_READ, number) >= 0:  # until there is no such capability
        if os.geteuid() == 0:
            check(prctl(CAPBSET_DROP, number))
        number += 1
    prctl(AMBIENT, CLEAR_ALL)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)  # which empties the effective and permitted ones
    check(prctl(SET_NO_NEW_PRIVS, 1))


def refuse_namespaces() -> None:
    audit, clone, refused = CALLS[platform.machine()]
    program: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        # glibc takes clone where clone3 is not there; its flags are in memory, which no filter reads.
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    ]
    for number in refused:
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    program += [
        (EQUAL, 0, 3, clone),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 0, 1, NAMESPACES),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("HL", len(program), ctypes.addressof(buffer)))
    check(LIBC.prctl(SET_SECCOMP, FILTER, head, 0, 0))


if __name__ == "__main__":
    drop_privileges()
    refuse_namespaces()
    os.execvp(sys.argv[1], sys.argv[1:])
