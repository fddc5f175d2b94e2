"""How many examples a property has whose examples are dear."""

from hypothesis import settings

OF = 100
"""What the deep profile has; the quick one has fewer."""


def examples(deep: int) -> int:
    """So many in the deep profile of `make drill`, their share in the quick one of `make test`. At least 2.

    A fixed number would be tried twice: in CI the examples of both are the same.
    """
    return max(2, deep * settings().max_examples // OF)
