"""What can go wrong in the runtime. The docstring of each class says what it means and what to do.

In: nothing. Out: exceptions. Bad input is never one of these: it is answered with a `Refusal` and kept.
"""


class GridpatrolError(Exception):
    """Base of the runtime's errors: the message is a sentence, `remedy` what to do."""

    remedy = ""

    def __str__(self) -> str:
        said = super().__str__()
        return f"{said}. {self.remedy}" if self.remedy else said


class SettingsError(GridpatrolError):
    """A setting has a value it cannot have."""


class DatabaseUnusable(GridpatrolError):
    """The database cannot be opened or is of a kind that is not supported."""

    remedy = "Check GRIDPATROL_DATABASE."


class SchemaMismatch(GridpatrolError):
    """The tables belong to another release."""

    remedy = "Run `gridpatrol db upgrade` once, with all servers of the database stopped."


class LeaseTaken(GridpatrolError):
    """Another process writes to this database."""

    remedy = "Stop it, or send the command to it through its HTTP door."


class AddressTaken(GridpatrolError):
    """Something else listens at the address, or it is none of this machine's."""

    remedy = "Stop it, or choose another with --listen 127.0.0.1:PORT or GRIDPATROL_LISTEN."


class PackUnusable(GridpatrolError):
    """The pack folder cannot be compiled, or a pack named in the log is not in the store."""

    remedy = "Run `gridpatrol pack check DIR`."


class LogMismatch(GridpatrolError):
    """An exported log does not fit: damaged, or of another number of partitions."""


class StaleWriter(GridpatrolError):
    """Another writer has moved a partition on: this one's memory is void and is read again."""


class BrokerAway(GridpatrolError):
    """Kafka does not answer, or has not taken what was sent."""

    remedy = "Check GRIDPATROL_KAFKA and that the brokers run; nothing is lost meanwhile."


class BrokerRefuses(GridpatrolError):
    """Kafka answers, and says no: credentials, certificates or rights."""

    remedy = "Check kafka_security, kafka_ca, kafka_user and kafka_password_file, and the ACLs of this user."


class TopicsUnfit(GridpatrolError):
    """The topics are missing, or have settings that the engine cannot be right with."""

    remedy = "Run `gridpatrol topic create`."


class Stalled(GridpatrolError):
    """The Kafka client stands still without an error: only a fresh process helps."""

    remedy = "Whatever watches over this process starts it again; if that does not help, see the brokers' logs."


class Fenced(GridpatrolError):
    """Another process of the same instance name has taken this one's place."""

    remedy = "Give each process an `instance` of its own."
