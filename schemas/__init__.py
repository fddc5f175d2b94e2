"""The contract: the events that people and systems send, and the facts, alerts and figures that gridpatrol tells."""
