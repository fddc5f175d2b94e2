"""The demo: a seeded month as a file of events, and live traffic over HTTP.

Nothing here imports the engine or its rules. What a demo shows must have come in at the door like everybody's
events.
"""
