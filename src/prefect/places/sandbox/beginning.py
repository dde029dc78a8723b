"""What the first process of a sandbox does between fork and exec: it is tied to its parent, and has no keys.

The kernel gives the caller's session keyring to every child. It may have keys of Kerberos or of encrypted file
systems, and no namespace hides it (keyrings(7)): a sandbox gets an empty one.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_KEYCTL = {
    "aarch64": 219, "armv7l": 311, "i686": 288, "ppc64le": 271, "riscv64": 219, "s390x": 280,
    "x86_64": 250,
}  # fmt: skip
"""Numbers of keyctl(2), which the C library has no function for, by machine."""
_JOIN_SESSION_KEYRING = 1
_SET_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


def tied_without_keys() -> Callable[[], object]:
    """Return what has a process end with its parent from now on, and leave its session keyring.

    It is to be called between fork and exec, and so loads nothing any more. The signal of the parent's death
    stays over exec; programs that set it themselves do so when the parent may be gone already.
    """
    import ctypes  # noqa: PLC0415 - slow to import

    library = ctypes.CDLL(None)
    tie, call = library.prctl, library.syscall
    parent = os.getpid()
    number = _KEYCTL.get(os.uname().machine)

    def begin() -> None:
        tie(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before
            os._exit(1)
        if number is not None:
            call(number, _JOIN_SESSION_KEYRING, None)

    return begin
