"""The exceptions a user meets: one line of what, where, what was expected and what to do."""

from __future__ import annotations

# What torch and the system say when memory is short, in parts.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad alloc")


class DetectorError(Exception):
    """A mistake the user can mend; the command line prints it without a stack trace.

    `exit_code` is what the process returns: 2 for bad input, 3 for a source that went away.
    """

    exit_code = 2


class OutOfMemoryError(DetectorError, MemoryError):
    """A picture that memory does not hold; nothing is wrong with it, so it is never passed over."""


class SourceLostError(DetectorError):
    """A camera or stream that went away and did not come back within the tries allowed."""

    exit_code = 3


def no_memory(error: BaseException) -> bool:
    """Whether an error of Python's or torch's says that memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(part in text for part in _NO_MEMORY)
