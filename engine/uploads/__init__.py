"""Photos and other files that phones send: their types, and where their bytes lie, in a folder or in a bucket."""
