"""What operators do: replay dead letters, erase, settle."""
