"""Commands run inside the test's own process."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from detector import cli


def exit_of(
    words: Sequence[object], capture: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    """Exit code, standard output and standard error of `detector WORDS`."""
    with pytest.raises(SystemExit) as exited:
        cli.main([str(word) for word in words])
    return exited.value.code or 0, *capture.readouterr()
