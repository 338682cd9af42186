"""Values that a JSON file may hold where something else was expected."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def odd(*words: str) -> st.SearchStrategy[Any]:
    """Anything that JSON can say, lists and tables among it; words: texts to try besides."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**20), 10**20)
        | st.floats()
        | st.text(max_size=6)
        | st.sampled_from(["1e999", "\0", "..", "a.jpg", *words]),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=6,
    )
