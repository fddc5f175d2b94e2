"""Policy packs: a locality as data, read, compiled, checked, and indexed for decisions."""
