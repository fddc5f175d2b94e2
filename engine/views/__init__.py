"""What people read: incidents, alerts, figures and what became of an event. Asked by the door and the command line.

A view takes an open read transaction and a question, and returns structs that become JSON as they are. Instants in them
are RFC 3339 with the offset of the active pack's zone.
"""
