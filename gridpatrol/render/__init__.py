"""What people read at a terminal and in the documents that are generated."""
