"""The HTTP door: events come in, and people look at what became of them."""
