"""The distributed run on one machine, from real parts: run it, load it, break it, judge it, measure it."""
