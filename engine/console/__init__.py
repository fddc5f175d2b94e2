"""The console: pages for people, over the same views that the API and the command read.

Pages are made here and work without script. What moves, moves by htmx and one stream. What people post goes the way of
`/v1/events`. Only the application (`engine/http/app.py`) imports this room.
"""
