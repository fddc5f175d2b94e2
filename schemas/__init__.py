"""The contract: what people and systems say to gridpatrol, and what it tells in return."""
