"""The pages, a file each: what is asked, and which template answers."""
