"""The rules, pure: definitions, clocks, routing, roles, rungs, and the compiled policy packs."""
