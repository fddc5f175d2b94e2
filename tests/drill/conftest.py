"""The city's record and its replay, for the drills that compare others with it."""

from tests.city.conftest import cases, whole

__all__ = ["cases", "whole"]
