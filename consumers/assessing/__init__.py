"""The assessor (考核系统): it computes the sheets of a pack's cards when their time has come, stores them, and says so.

1. Its time is that of the log. `clocks.Clocks` says up to which instant everything is known: the clocks of all
   partitions that hold a home have passed it, halted ones left out, and the figures have followed.
2. A sheet is stored by its hash before `assessment.computed` is said. All ids are derived, and what is said twice is a
   duplicate: after a crash, beside a second assessor, or where a log goes live again, nothing happens twice.
3. It speaks by a post of the pack: a machine's, at the root, that roles.csv lets say so. A pack without one has none.
4. `sheets.Sheets` computes; `assessor.Assessor` says what follows, one thing at a time.
"""
