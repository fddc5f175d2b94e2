"""One slice: what has arrived since the last one, decided in memory and written in one transaction."""
