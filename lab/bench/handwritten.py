"""The same incident as most teams write it: `transitions`, SQLAlchemy's ORM, one transaction per event, PostgreSQL.

Enters: the URL of an empty database. Leaves: CPU time of an event, that of the database's server included, with so many
events under way; no HTTP, no JSON, no log. It keeps what any such service keeps: the incident, who has done what to it,
the deadlines of its steps and whether each was kept, and an outbox of what has to be told to somebody. It knows no late
or repeated events, no calendar, no figures and no replay.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

from sqlalchemy import Engine, ForeignKey, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from transitions import Machine

from engine.store import recording
from engine.store.database import open_database
from gridpatrol import cpu

LIMITS = {"new": timedelta(hours=1), "taken": timedelta(hours=4), "to_check": timedelta(hours=2)}
"""How long an incident may stay in a state."""
RECIPIENTS = {"new": "CHIEF", "taken": "HANDLER", "to_check": "MEMBER", "done": "REPORTER"}
"""Who is told of a state."""
SAID = (("take", "CHIEF"), ("finish", "CHIEF"), ("confirm", "MEMBER"))
"""What follows on a report, and by whom."""


class Base(DeclarativeBase):
    """The tables of this file."""


class Incident(Base):
    """An incident; `transitions` moves `state`."""

    __tablename__ = "incident"
    id: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str]
    grid: Mapped[str] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    deadlines: Mapped[list[Deadline]] = relationship(back_populates="incident")

    TRANSITIONS: ClassVar[list[dict[str, str]]] = [
        {"trigger": "take", "source": "new", "dest": "taken"},
        {"trigger": "finish", "source": "taken", "dest": "to_check"},
        {"trigger": "confirm", "source": "to_check", "dest": "done"},
    ]


class Deadline(Base):
    """By when a state must be left, and when it was."""

    __tablename__ = "deadline"
    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incident.id"), index=True)
    state: Mapped[str]
    due: Mapped[datetime] = mapped_column(index=True)
    stopped: Mapped[datetime | None]
    on_time: Mapped[bool | None]
    incident: Mapped[Incident] = relationship(back_populates="deadlines")


class History(Base):
    """Who has done what, and when; its name keeps a repeated event out."""

    __tablename__ = "history"
    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incident.id"), index=True)
    event: Mapped[str] = mapped_column(unique=True)
    trigger: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime]


class Outbox(Base):
    """What somebody has to be told."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[str]
    recipient: Mapped[str]
    state: Mapped[str]
    sent: Mapped[bool] = mapped_column(default=False, index=True)


MACHINE = Machine(
    model=None,
    states=["new", "taken", "to_check", "done"],
    transitions=Incident.TRANSITIONS,
    initial="new",
    auto_transitions=False,
)


def enter(session: Session, incident: Incident, trigger: str, actor: str, now: datetime) -> None:
    """What is written whenever an incident comes into a state."""
    event = f"{incident.id}-{trigger}"
    session.add(History(incident_id=incident.id, event=event, trigger=trigger, actor=actor, at=now))
    session.add(Outbox(incident_id=incident.id, recipient=RECIPIENTS[incident.state], state=incident.state))
    if limit := LIMITS.get(incident.state):
        session.add(Deadline(incident_id=incident.id, state=incident.state, due=now + limit))
    else:
        incident.closed_at = now


def report(maker: Engine, grid: str) -> str:
    """A report, in a transaction of its own."""
    with Session(maker) as session, session.begin():
        now = datetime.now(UTC).replace(tzinfo=None)
        incident = Incident(id=str(uuid.uuid4()), category="D3-01", grid=grid, state="new", opened_at=now)
        session.add(incident)
        session.flush()
        enter(session, incident, "open", "INTAKE", now)
        return incident.id


def say(maker: Engine, id_: str, trigger: str, actor: str) -> None:
    """An event about an incident, in a transaction of its own: its row is locked, its deadline stopped, its state moved
    by the machine."""
    with Session(maker) as session, session.begin():
        now = datetime.now(UTC).replace(tzinfo=None)
        incident = session.scalars(select(Incident).where(Incident.id == id_).with_for_update()).one()
        running = select(Deadline).where(Deadline.incident_id == id_, Deadline.stopped.is_(None))
        for deadline in session.scalars(running):
            deadline.stopped, deadline.on_time = now, now <= deadline.due
        MACHINE.add_model(incident, initial=incident.state)
        try:
            incident.trigger(trigger)  # type: ignore[attr-defined]  # the machine gives it
        finally:
            MACHINE.remove_model(incident)
        enter(session, incident, trigger, actor, now)


def live(maker: Engine, number: int) -> None:
    """One incident, from its report to the last check."""
    id_ = report(maker, f"grid-{number % 105}")
    for trigger, actor in SAID:
        say(maker, id_, trigger, actor)


def handwritten_cpu_ms(url: str, incidents: int, in_flight: int) -> float:
    """CPU ms of an event, so many incidents at once. RuntimeError where not all of them came to their end."""
    database, maker = open_database(url), create_engine(url, pool_size=in_flight)
    try:
        Base.metadata.drop_all(maker)
        Base.metadata.create_all(maker)
        backend = recording.backend_pid(database)
        with ThreadPoolExecutor(in_flight) as threads:
            list(threads.map(partial(live, maker), range(in_flight)))  # connections are made, statements compiled
            own, server = time.process_time(), cpu.of_server(backend) or 0.0
            list(threads.map(partial(live, maker), range(incidents)))
            own, server = time.process_time() - own, (cpu.of_server(backend) or 0.0) - server
        with Session(maker) as session:
            ended = session.scalars(select(func.count(Incident.id)).where(Incident.state == "done")).one()
            kept = session.scalars(select(func.count(Deadline.id)).where(Deadline.on_time.is_(True))).one()
        wanted = incidents + in_flight
        if (ended, kept) != (wanted, wanted * len(LIMITS)):
            raise RuntimeError(f"of {wanted} incidents {ended} ended, with {kept} deadlines")
    finally:
        maker.dispose()
        database.close()
    return 1000 * (own + server) / (incidents * (1 + len(SAID)))
