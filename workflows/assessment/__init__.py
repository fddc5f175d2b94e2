"""Assessment (考核): who is judged, by which indicators, and what is proposed for it. Pure, whole numbers only.

`cards` reads a scorecard out of a pack, `terms` says what an indicator adds up, `scoring` makes a sheet of what was
added up, and `consequences` proposes. Nothing here happens to anybody: a named role decides.
"""
