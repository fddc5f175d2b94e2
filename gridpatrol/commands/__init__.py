"""The commands, one file per group. Each file's `command` is what `gridpatrol.cli` hangs into the tree."""
