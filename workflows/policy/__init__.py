"""Policy packs: a locality as data, compiled, linted, and indexed for decisions."""
