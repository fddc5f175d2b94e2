"""Performance figures: folded from steps, in one process or as a Faust application."""
