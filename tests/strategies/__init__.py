"""Hypothesis strategies that several contexts share: msgspec does not validate, so these make only valid ones."""

from typing import Final

from hypothesis import settings

# No deadline: a busy machine is no fault of the code.
STEADY: Final = settings(deadline=None, max_examples=100)
