"""The demo: a seeded month as a file of events, and live traffic over HTTP.

What a demo shows must have come in at the door like everybody's events, so nothing here imports the engine but the
reader of pack folders, and nothing decides an event (see `tests/unit/test_house.py`).
"""
