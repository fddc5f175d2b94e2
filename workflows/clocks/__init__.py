"""The algebra of clocks: limits, working calendars, elapsed time and its explanation. It knows no case."""
