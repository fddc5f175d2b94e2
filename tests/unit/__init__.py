"""Tests without input or output: rules, contract, and the shape of the house."""
