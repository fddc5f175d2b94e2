"""The distributed run measured on one machine."""
