"""What can go wrong in the runtime, each with what to do about it.

An event that cannot be taken is none of these: it is answered with a `Refusal` and kept. A few errors stand beside the
code that raises them; they share this base, and the command and the HTTP door print them as `str` does.
"""

WRONG, USAGE, ALTERED, TRY_AGAIN = 1, 2, 3, 75
"""Exit statuses of a command that ends with an error: it was refused or is not as it should be; the command line is
wrong; an audit has found that something was changed; nothing is wrong with it, and the same will do later (EX_TEMPFAIL
of sysexits.h)."""


class GridpatrolError(Exception):
    """Base of the errors that people read.

    The message says what is wrong, without a full stop at its end. `remedy` says what to do, and is the class's own
    unless one is given. Empty: the message says it, or nothing helps. `exit_status` is that of a command.
    """

    remedy = ""
    exit_status = WRONG

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy

    @property
    def message(self) -> str:
        """What is wrong, without the remedy."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy[0].upper()}{self.remedy[1:]}" if self.remedy else self.message


class SettingsError(GridpatrolError):
    """A setting has a value that it cannot have."""


class DatabaseUnusable(GridpatrolError):
    """The database cannot be opened or is of a kind that is not supported."""

    remedy = "Check GRIDPATROL_DATABASE."


class DatabaseAway(DatabaseUnusable):
    """The database does not answer, or somebody else holds what is asked for. It may come back by itself."""

    exit_status = TRY_AGAIN


class SchemaMismatch(GridpatrolError):
    """The tables belong to another release."""

    remedy = "Run `gridpatrol db upgrade` once, with all servers of the database stopped."


class LeaseTaken(GridpatrolError):
    """Another process writes to this database."""

    remedy = "Stop it, or send the command to it through its HTTP door."
    exit_status = TRY_AGAIN


class AddressTaken(GridpatrolError):
    """Another program listens at the address, or this machine does not have it."""

    remedy = "Stop it, or choose another with --listen 127.0.0.1:PORT or GRIDPATROL_LISTEN."
    exit_status = TRY_AGAIN


class ClockDoubted(GridpatrolError):
    """The wall clock of this machine is not believed, or a partition is ahead of it. `retry_s`: when to ask again."""

    exit_status = TRY_AGAIN

    def __init__(self, message: str, *, remedy: str, retry_s: int) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_s = retry_s


class PackUnusable(GridpatrolError):
    """The pack folder cannot be compiled, or a pack named in the log is not in the store."""

    remedy = "Run `gridpatrol pack check DIR`."


class LogMismatch(GridpatrolError):
    """An exported log does not fit: it is damaged, or of another number of partitions."""


class PartitionHalted(GridpatrolError):
    """A partition stands still, and what is done cannot leave it behind."""

    remedy = "See `gridpatrol log standing`. Nothing is lost: begin again with a release without the defect."


class StaleWriter(GridpatrolError):
    """Another writer has moved a partition on. The memory of this one is void and has to be read again."""

    exit_status = TRY_AGAIN


class BrokerAway(GridpatrolError):
    """Kafka does not answer, or has not taken what was sent."""

    remedy = "Check GRIDPATROL_KAFKA and that the brokers run; nothing is lost meanwhile."
    exit_status = TRY_AGAIN


class BrokerRefuses(GridpatrolError):
    """Kafka answers, and refuses: credentials, certificates or rights are wrong."""

    remedy = "Check kafka_security, kafka_ca, kafka_user and kafka_password_file, and the ACLs of this user."


class TopicsUnusable(GridpatrolError):
    """The topics are missing, or have settings with which the engine could lose events."""

    remedy = "Run `gridpatrol topic create`."


class Stalled(GridpatrolError):
    """The Kafka client stands still without an error. Only a new process helps."""

    remedy = "Whatever watches over this process starts it again; if that does not help, see the brokers' logs."
    exit_status = TRY_AGAIN


class Fenced(GridpatrolError):
    """Another process with the same instance name has taken this one's place."""

    remedy = "Give each process an `instance` of its own."


class CasesArchived(GridpatrolError):
    """What is asked for reads all cases, and some have left for files."""

    remedy = "Bring them back with `gridpatrol archive return`, ask again, and let them leave anew."
