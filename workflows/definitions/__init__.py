"""Kinds of case: each is one readable file, a table of states and what moves between them."""
