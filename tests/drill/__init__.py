"""Tests that take long (`make drill`): whole installations that are killed, cut off, secured, moved, and measured."""
