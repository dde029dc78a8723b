"""The caller's session keyring, which the kernel gives to every child: a sandbox gets an empty one.

It may have keys of Kerberos or of encrypted file systems, and no namespace hides it (keyrings(7)).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_KEYCTL = {
    "aarch64": 219, "armv7l": 311, "i686": 288, "ppc64le": 271, "riscv64": 219, "s390x": 280,
    "x86_64": 250,
}  # fmt: skip
"""Numbers of keyctl(2), which the C library has no function for, by machine."""
_JOIN_SESSION_KEYRING = 1


def leaving_keyring() -> Callable[[], object] | None:
    """Return what has a process leave its session keyring; None where nobody knows how.

    It is to be called between fork and exec, and so loads nothing any more.
    """
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return None
    import ctypes  # noqa: PLC0415 - slow to import

    call = ctypes.CDLL(None).syscall
    return lambda: call(number, _JOIN_SESSION_KEYRING, None)
