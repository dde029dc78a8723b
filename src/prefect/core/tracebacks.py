"""What is shown of an exception: its text, and a traceback without this package's own frames."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def describe(error: BaseException) -> str:
    """Return an exception's type and text, whatever its `__str__` does.

    Of a variable of the environment that is not set, it says what to do.
    """
    kind, text = type(error).__name__, text_of(error)
    told = f"{kind}: {text}" if text else kind
    if isinstance(error, KeyError) and _is_of_environment(error) and text.strip("'").isidentifier():
        name = text.strip("'")
        told += (
            f" (no environment variable {name} is set here; what a flow needs as a secret it names: "
            f"--secret {name}, or secrets=[{name!r}])"
        )
    return told


def text_of(error: BaseException) -> str:
    """Return an exception's text, whatever its `__str__` does; "" where there is none."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # anybody's code
        return ""


def _is_of_environment(error: KeyError) -> bool:
    """Tell whether `os.environ[...]` raised it."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return (
        frames is not None
        and frames.tb_frame.f_globals.get("__name__") == "os"
        and frames.tb_frame.f_code.co_name == "__getitem__"
    )


def user_frames(error: BaseException) -> TracebackType | None:
    """Return an exception's traceback from the first frame that is not of this package.

    None, if there is none: where this package says no to something is nobody's concern.
    """
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_globals.get("__name__")):
        frames = frames.tb_next
    return frames


def format_traceback(error: BaseException) -> str:
    """Write an exception with its traceback, without the frames of this package at its top."""
    import traceback  # noqa: PLC0415  # slow to import, needed by failures only

    return "".join(traceback.format_exception(type(error), error, user_frames(error)))


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.startswith(("prefect.core.", "prefect.engine."))
