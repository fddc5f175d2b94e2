"""Kinds of case. Each is one readable file: a table of states and of what moves between them.

`DEFINITIONS` is the one list of them. `workflows.machine` validates and compiles a table; it knows no kind of case.
"""

from workflows.definitions.incident import INCIDENT
from workflows.definitions.service_request import SERVICE_REQUEST
from workflows.machine import Definition

DEFINITIONS: dict[str, Definition] = {definition.name: definition for definition in (INCIDENT, SERVICE_REQUEST)}
