"""The wire: who the brokers and the database let in, what each user may do there, and what is said to whoever may not.

Enters: a real Kafka with TLS, passwords and access lists; a real PostgreSQL with TLS. Leaves: nothing.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    NewTopic,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import AuthorizationError, KafkaTimeoutError, TopicAuthorizationFailedError
from sqlalchemy.engine import URL

from engine.cluster import acls, clients, preflight, probe, topics
from engine.cluster.inbox import KafkaInbox
from engine.cluster.probe import await_welcome
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable, SettingsError
from engine.settings import Settings, read_settings
from engine.store.database import Database, open_database
from lab.parts import kafka
from lab.parts.certificates import Certificate, make_certificate
from lab.parts.kafka_jars import Parts
from lab.parts.postgres import PostgresUnavailable, Secured, fresh_database, secured_server, with_tls
from schemas.topics import Topics
from tests.conftest import IN_CI
from tests.integration.test_kafka_broker import produce, stored

ROLES = ("gateway", "worker", "performance", "alerts", "operator")
SYSTEMS = ("hotline", "sensors")
ODD = 'p ä$s"w:o/r@d\\%41 '  # every one of these means something somewhere
USERS = {name: f"{ODD}{name}" for name in (*ROLES, *SYSTEMS, "stranger")}
AT_ONCE_S = 8.0
"""Below any time-out of a client, on a busy machine too."""
TOPICS = Topics("wire.")
INBOX, FACTS, ALERTS, LETTERS = TOPICS.inbox, TOPICS.facts, TOPICS.alerts, TOPICS.deadletter
FIGURES, HOTLINE, SENSORS = TOPICS.performance, TOPICS.intake("hotline"), TOPICS.intake("sensors")


class Wire:
    """A secured broker, and the settings of each of its users, who have passwords, or certificates at another port."""

    def __init__(self, broker: kafka.Broker, folder: Path, for_certified: str) -> None:
        self.broker, self.folder, self.for_certified = broker, folder, for_certified
        for user, password in broker.users.items():
            (folder / user).write_text(f"{password}\n", encoding="utf-8")

    def settings(self, user: str = "worker", **more: Any) -> Settings:
        plain = Settings(
            kafka=self.broker.bootstrap,
            kafka_prefix=TOPICS.prefix,
            kafka_security="SASL_SSL",
            kafka_ca=str(self.broker.ca),
            kafka_user=user,
            kafka_password_file=str(self.folder / user),
            partitions=4,
            kafka_session_ms=3000,
        )
        return msgspec.structs.replace(plain, **more)


@pytest.fixture(scope="module")
def wire(kafka_parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """One broker for all: at one port clients show a password, at another a certificate."""
    folder = tmp_path_factory.mktemp("wire")
    for_clients, for_controllers, for_certified = (f"127.0.0.1:{port}" for port in kafka.free_ports(3))
    properties = {
        "listeners": f"CLIENT://{for_clients},CONTROLLER://{for_controllers},CERT://{for_certified}",
        "controller.quorum.voters": f"1@{for_controllers}",
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SSL,CERT:SSL",
        "listener.name.cert.ssl.client.auth": "required",
        "listener.name.cert.ssl.truststore.type": "PEM",
        "listener.name.cert.ssl.truststore.location": str(make_certificate(folder, "worker").ca),
        "listener.name.cert.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
    }
    with kafka.running_broker(properties, users=USERS) as broker:
        yield Wire(broker, folder, for_certified)


@contextmanager
def refusing(*words: str) -> Iterator[None]:
    """What is done is refused, at once, in a sentence that has all of these words."""
    began = time.monotonic()
    with pytest.raises(BrokerRefuses) as refused:
        yield
    assert time.monotonic() - began < AT_ONCE_S
    for word in words:
        assert word in str(refused.value)


def connect(settings: Settings) -> None:
    clients.admin(settings).close()


# ---- who is let in ------------------------------------------------------------------------------------------


def test_who_shows_the_right_password_is_let_in(wire):
    for user in USERS:
        connect(wire.settings(user))


def test_one_broker_that_lets_us_in_is_enough(wire):
    connect(wire.settings(kafka=f"127.0.0.1:1, {wire.broker.bootstrap}"))


@pytest.mark.parametrize(
    "client", [clients.admin, lambda s: clients.producer(s, "t"), lambda s: clients.consumer(s, "t")]
)
def test_a_wrong_password_is_told_by_every_kind_of_client(wire, client):
    wrong = wire.settings("worker", kafka_password_file=str(wire.folder / "alerts"))
    with refusing(wire.broker.bootstrap, "refuses user 'worker'", "kafka_password_file"):
        client(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sasl_plain_password": "wrong"},
        {"sasl_plain_username": "nobody"},
        {"security_protocol": "SASL_PLAINTEXT"},
        {"ssl_cafile": None},  # signed by nobody whom the system knows
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_who_cannot_show_who_he_is_gets_no_connection_by_the_library_alone(wire, wrong):
    with pytest.raises(KafkaTimeoutError, match="bootstrap"):
        KafkaAdminClient(**wire.broker.client("worker") | wrong, bootstrap_timeout_ms=1000)


def test_an_unknown_user_is_told(wire):
    with refusing("refuses user 'nobody'", "kafka_user"):
        connect(wire.settings("alerts", kafka_user="nobody"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kafka_ca": ""}, ("certificate", "kafka_ca")),  # signed by nobody whom the system knows
        ({"kafka_security": "PLAINTEXT"}, ("speaks TLS", "kafka_security")),
        ({"kafka_security": "SASL_PLAINTEXT"}, ("speaks TLS", "kafka_security")),
        ({"kafka_security": "SSL"}, ("shows no user", "kafka_security")),
        ({"kafka_mechanism": "SCRAM-SHA-256"}, ("does not take SCRAM-SHA-256, but SCRAM-SHA-512", "kafka_mechanism")),
    ],
)
def test_what_does_not_fit_a_secured_port_is_told_with_the_setting(wire, wrong, said):
    with refusing(wire.broker.bootstrap, *said):
        connect(wire.settings(**wrong))


def test_an_authority_that_did_not_sign_is_told(wire, tmp_path):
    with refusing("certificate", "not to be trusted", "kafka_ca"):
        connect(wire.settings(kafka_ca=str(make_certificate(tmp_path, "other").ca)))


@pytest.mark.parametrize(
    ("security", "said"), [("SASL_SSL", "speaks TLS"), ("SSL", "speaks TLS"), ("SASL_PLAINTEXT", "asks for no user")]
)
def test_what_does_not_fit_a_plain_port_is_told_with_the_setting(wire, kafka_server, security, said):
    with refusing(said, "kafka_security"):
        connect(wire.settings(kafka=kafka_server, kafka_security=security))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kafka_ca": "/nowhere.pem"}, "kafka_ca"),
        ({"kafka_ca": __file__}, "kafka_ca.*PEM"),
        ({"kafka_cert": __file__}, "kafka_cert.*PEM"),
        ({"kafka_password_file": ""}, "kafka_password_file"),
        ({"kafka_user": ""}, "kafka_user"),
        ({"kafka_mechanism": "GSSAPI"}, "SCRAM-SHA-512"),
    ],
)
def test_a_setting_that_cannot_work_is_told_before_anybody_is_asked(wire, wrong, said):
    with pytest.raises(SettingsError, match=said):
        connect(wire.settings(**wrong))


def test_brokers_that_are_away_are_not_told_as_refusals(wire, monkeypatch):
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 500)
    with pytest.raises(BrokerAway, match=r"nobody listens at 127\.0\.0\.1:1"):
        connect(wire.settings(kafka="127.0.0.1:1"))
    with pytest.raises(BrokerAway, match=r"broker\.invalid:9092 cannot be reached"):
        connect(wire.settings(kafka="broker.invalid:9092"))


@pytest.mark.parametrize("security", ["SASL_SSL", "PLAINTEXT"])
def test_a_broker_that_falls_silent_holds_nobody_up(wire, monkeypatch, security):
    monkeypatch.setattr(clients, "BOOTSTRAP_MS", 500)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BrokerAway, match=f"{address} does not answer"):
            connect(wire.settings(kafka=address, kafka_security=security))


def test_a_broker_that_is_only_starting_is_waited_for(wire):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    late = threading.Timer(0.7, lambda: relay_once(address, wire.broker.bootstrap))
    late.start()
    try:
        began = time.monotonic()
        await_welcome(clients.common(wire.settings(kafka=f"127.0.0.1:{address[1]}"), "t"), 10)
        assert time.monotonic() - began > 0.6
    finally:
        late.join()


def test_one_that_hangs_up_while_it_starts_is_asked_again_however_long_it_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [BrokerAway("nobody")] * 6 + [probe.HungUp("starting"), None]

    def ask(_: object) -> None:
        if (error := said.pop(0)) is not None:
            raise error

    monkeypatch.setattr(probe, "ask_any", ask)
    monkeypatch.setattr(probe, "AGAIN_S", 0.1)
    monkeypatch.setattr(probe, "DOUBT_S", 0.3)
    await_welcome({}, 5)
    assert not said


def relay_once(address: tuple[str, int], behind: str) -> None:
    """Pass one connection on, both ways, until either side hangs up."""
    host, _, port = behind.rpartition(":")
    with socket.create_server(address) as listening:
        listening.settimeout(10)
        here, _ = listening.accept()
    there = socket.create_connection((host, int(port)))

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # whoever hangs up first
            while some := source.recv(65536):
                sink.sendall(some)
            sink.shutdown(socket.SHUT_WR)

    with here, there:
        back = threading.Thread(target=pass_on, args=(there, here))
        back.start()
        pass_on(here, there)
        back.join(10)


# ---- certificates -------------------------------------------------------------------------------------------


@contextmanager
def tls_server(certificate: Certificate, address: str, **context: Any) -> Iterator[str]:
    """Something that does the TLS of a broker and no more; its host:port."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.certificate, certificate.key)

    def answer() -> None:
        # The client hangs up: that is what is looked at.
        with closing(listening.accept()[0]) as plain, suppress(OSError):
            made.wrap_socket(plain, server_side=True).close()

    with socket.create_server((address, 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"{address}:{listening.getsockname()[1]}"
        thread.join(10)


def test_a_certificate_for_another_host_is_told(wire, tmp_path):
    made = make_certificate(tmp_path, "broker")  # for 127.0.0.1 and localhost
    with tls_server(made, "127.0.0.2") as address, refusing(address, "127.0.0.2", "kafka_ca"):
        connect(wire.settings(kafka=address, kafka_ca=str(made.ca)))


def certified(wire: Wire) -> Settings:
    """The settings of a worker that shows its certificate."""
    return Settings(
        kafka=wire.for_certified,
        kafka_prefix=TOPICS.prefix,
        kafka_security="SSL",
        kafka_ca=str(wire.broker.ca),
        kafka_cert=str(wire.folder / "worker.pem"),
        kafka_key=str(wire.folder / "worker.key"),
    )


def test_a_certificate_is_as_good_as_a_password(town):
    settings = certified(town)
    write(settings, FACTS)
    both = str(town.folder / "worker-both.pem")
    write(msgspec.structs.replace(settings, kafka_cert=both, kafka_key=""), FACTS)


def test_a_missing_or_unknown_certificate_is_told(wire, tmp_path):
    settings, other = certified(wire), make_certificate(tmp_path, "other")
    with refusing("certificate", "kafka_cert"):
        connect(msgspec.structs.replace(settings, kafka_cert="", kafka_key=""))
    with refusing("certificate", "kafka_cert"):
        connect(msgspec.structs.replace(settings, kafka_cert=str(other.certificate), kafka_key=str(other.key)))


# ---- what each may do ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(postgres_server) -> Iterator[Database]:
    with fresh_database(postgres_server) as url:
        opened = open_database(url)
        opened.upgrade()
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def town(wire: Wire, database: Database) -> Wire:
    """All topics, with a record in each, and everybody's rights."""
    admin = wire.settings("admin")
    topics.create(admin, database, None, list(SYSTEMS))
    acls.grant(admin, list(SYSTEMS))
    for topic in (INBOX, FACTS, ALERTS, LETTERS, FIGURES, HOTLINE, SENSORS):
        write(admin, topic)
    return wire


def write(settings: Settings, topic: str) -> None:
    with closing(Publisher(settings, "test")) as publisher:
        publisher.send(topic, "key", b"value", [("kind", b"event")], 0)
        publisher.flush()


def read(settings: Settings, topic: str, group: str | None = None) -> int:
    """How many records came; AuthorizationError."""
    with closing(clients.consumer(settings, "test", group_id=group)) as consumer:
        place = TopicPartition(topic, 0)
        if group is None:
            assert consumer.end_offsets([place])[place]
            consumer.assign([place])
        else:
            consumer.partitions_for_topic(topic)
            consumer.subscribe([topic])
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if found := sum(map(len, consumer.poll(200).values())):
                if group is not None:
                    consumer.commit()
                return found
    raise AssertionError(f"nothing was read from {topic}")


WRITERS = {
    INBOX: {"gateway", "worker"},
    FACTS: {"worker"},
    ALERTS: {"alerts"},
    LETTERS: {"alerts"},
    FIGURES: {"performance"},
    HOTLINE: {"hotline"},
    SENSORS: {"sensors"},
}
READERS = {INBOX: {"worker", "operator"}, FACTS: {"performance"}, HOTLINE: {"gateway"}, SENSORS: {"gateway"}}
GROUPS = {"worker": INBOX, "performance": FACTS, "gateway": HOTLINE}


@pytest.mark.parametrize("user", USERS)
def test_a_user_writes_its_own_topics_and_no_other(town, user):
    """One connection asks for all topics: a producer without sequence numbers goes on after a refusal."""
    plain = clients.common(town.settings(user), "test") | {"enable_idempotence": False, "max_block_ms": 20_000}
    with closing(KafkaProducer(**plain)) as producer:
        for topic, writers in WRITERS.items():
            if user in writers:
                assert producer.send(topic, b"value", b"key").get(20)
            else:
                with pytest.raises(TopicAuthorizationFailedError, match=topic.replace(".", r"\.")):
                    producer.send(topic, b"value", b"key").get(20)


@pytest.mark.parametrize("user", ["gateway", "worker", "alerts", "performance"])
def test_a_role_publishes_to_its_own_topics_and_is_told_which_is_not_its_own(town, user):
    for topic in (topic for topic, writers in WRITERS.items() if user in writers):
        write(town.settings(user), topic)
    with refusing(f"{user!r}", f"use topic {HOTLINE}", "gridpatrol topic create --acls"):
        write(town.settings(user), HOTLINE)


@pytest.mark.parametrize("user", ["operator", "stranger"])
def test_who_may_write_nothing_cannot_begin_to(town, user):
    with refusing(f"{user!r}", INBOX, "gridpatrol topic create --acls"):
        write(town.settings(user), INBOX)


@pytest.mark.parametrize("user", USERS)
def test_a_user_reads_what_its_work_needs_and_nothing_else(town, user):
    for topic in WRITERS:
        if user in READERS.get(topic, ()):
            assert read(town.settings(user), topic)
        else:
            with pytest.raises(TopicAuthorizationFailedError, match=topic.replace(".", r"\.")):
                read(town.settings(user), topic)


@pytest.mark.parametrize(("user", "topic"), GROUPS.items())
def test_a_role_shares_partitions_in_its_own_group_only(town, user, topic):
    group = {"gateway": "intake"}.get(user, user)
    assert read(town.settings(user), topic, TOPICS.group(group))
    for other in {"intake", "worker", "performance"} - {group}:
        with pytest.raises(AuthorizationError, match=TOPICS.group(other).replace(".", r"\.")):
            read(town.settings(user), topic, TOPICS.group(other))


def test_who_would_wait_for_a_group_that_does_not_let_it_in_is_told_before(town, database):
    group = TOPICS.group("performance")
    preflight.require(town.settings("performance"), database, [FACTS, FIGURES], group)
    preflight.require(town.settings("admin"), database, [FACTS], "of nobody yet")
    with refusing("'worker'", f"use group {group}", "gridpatrol topic create --acls"):
        preflight.require(town.settings("worker"), database, [FACTS], group)


def test_who_has_no_rights_sees_no_topic_and_administers_nothing(town):
    with closing(clients.admin(town.settings("stranger"))) as admin:
        assert admin.list_topics() == []
    for user in USERS:
        with closing(clients.admin(town.settings(user))) as admin:
            with pytest.raises(AuthorizationError):
                admin.create_topics({f"{INBOX}.more": {"num_partitions": 1, "replication_factor": 1}})
            with pytest.raises(AuthorizationError):
                admin.delete_topics([INBOX])
        with refusing(f"{user!r}", "administrator"):
            acls.grant(town.settings(user), [])


@pytest.mark.parametrize("user", ["gateway", "worker", "operator"])
def test_who_opens_the_inbox_is_shown_how_it_is_set(town, database, user):
    assert topics.open_inbox(town.settings(user), database).bases == [0, 0, 0, 0]


def test_who_may_append_to_the_log_and_not_read_it_is_told_so(town, database):
    gateway = town.settings("gateway")
    with closing(KafkaInbox(gateway, database, topics.open_inbox(gateway, database))) as inbox:
        assert inbox.end(0)
        with database.read() as connection, refusing("'gateway'", INBOX):
            list(inbox.read_all(connection, 0))


@pytest.mark.parametrize("user", ["hotline", "stranger"])
def test_who_is_not_shown_the_inbox_is_not_told_that_it_is_missing(town, database, user):
    with refusing(f"{user!r}", INBOX, "--acls"):
        topics.open_inbox(town.settings(user), database)


def test_the_broker_itself_lets_a_user_do_what_an_access_list_allows_and_nothing_else(wire):
    """Without our rights and clients."""
    admin = KafkaAdminClient(**wire.broker.client())
    admin.create_topics([NewTopic("reports", 1, -1)], wait_for_metadata=True)
    named = ResourcePattern(ResourceType.TOPIC, "reports")
    rule = ACL("User:sensors", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, named)
    admin.create_acls([rule])
    try:
        produce("reports", b"1", **wire.broker.client("sensors"))
        assert stored("reports", 1, **wire.broker.client()) == [b"1"]
        with pytest.raises(TopicAuthorizationFailedError):
            stored("reports", 1, **wire.broker.client("sensors"))
        with pytest.raises(AuthorizationError):
            produce("reports", b"2", **wire.broker.client("stranger"))
    finally:
        admin.delete_acls([ACLFilter("User:sensors", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, named)])
        admin.delete_topics(["reports"])
        admin.close()


# ---- how rights are given -----------------------------------------------------------------------------------


def test_rights_are_given_again_without_harm_and_those_that_others_gave_are_told(town):
    admin = town.settings("admin")
    given = acls.grant(admin, list(SYSTEMS))
    assert acls.grant(admin, list(SYSTEMS)) == given
    beyond = [line for line in acls.grant(admin, ["hotline"]) if line.endswith("not given here")]
    assert sorted(line.split()[0] for line in beyond) == ["gateway", "sensors"]
    assert all(SENSORS in line for line in beyond)


@pytest.mark.parametrize("name", ROLES)
def test_a_system_cannot_take_the_rights_of_a_role_by_its_name(name):
    with pytest.raises(SettingsError, match=name):
        acls.rights("", ["hotline", name])


def test_brokers_without_an_authorizer_are_told(kafka_server):
    with pytest.raises(acls.NoRights, match=r"authorizer\.class\.name"):
        acls.grant(Settings(kafka=kafka_server), [])


# ---- the database -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["tls of its own", "tls in front of it"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    own = request.param == "tls of its own"
    binaries = with_tls() if own else None
    if own and binaries is None:
        pytest.skip("no PostgreSQL with TLS is installed (Debian: postgresql); with TLS in front it is tested anyway")
    try:
        with secured_server(make_certificate(tmp_path_factory.mktemp("db"), "db"), f"'{ODD}", binaries) as server:
            yield server
    except PostgresUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture
def secured_url(secured: Secured) -> Iterator[str]:
    with secured.database() as url:
        yield url


def opened(url: str, password: str, folder: Path) -> Database:
    """The database as every role opens it."""
    file = folder / "password"
    file.write_text(f"{password}\n", encoding="utf-8")
    told = {"GRIDPATROL_DATABASE": url, "GRIDPATROL_DATABASE_PASSWORD_FILE": str(file)}
    return open_database(read_settings({}, told, folder / "none.toml").database)


def test_a_database_is_reached_over_tls_with_a_password_of_any_signs(secured, secured_url, tmp_path):
    with closing(opened(secured_url, secured.password, tmp_path)) as database:
        database.upgrade()
        database.check_schema()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": "db.example", "hostaddr": "127.0.0.1"}, r"db\.example.*sslrootcert"),
        ({"sslrootcert": "/nowhere.pem"}, r"/nowhere\.pem.*sslrootcert"),
        ({"sslmode": "disable"}, "no encryption.*sslmode=verify-full|closed the connection.*GRIDPATROL_DATABASE"),
    ],
)
def test_what_does_not_fit_the_database_is_told_with_a_remedy(secured, secured_url, tmp_path, wrong, said):
    name = secured_url.partition("?")[0].rpartition("/")[2]
    with pytest.raises(DatabaseUnusable, match=said):
        opened(secured.url(name, **wrong), secured.password, tmp_path)


def test_a_database_whose_authority_is_another_is_refused(secured, secured_url, tmp_path):
    other = make_certificate(tmp_path, "other").ca
    name = secured_url.partition("?")[0].rpartition("/")[2]
    with pytest.raises(DatabaseUnusable, match=r"certificate verify failed.*sslrootcert"):
        opened(secured.url(name, sslrootcert=str(other)), secured.password, tmp_path)


def test_a_wrong_database_password_is_told_and_never_shown(secured, secured_url, tmp_path):
    with pytest.raises(DatabaseUnusable, match=r"password authentication failed.*database_password_file") as refused:
        opened(secured_url, "not-this-one", tmp_path)
    assert "not-this-one" not in str(refused.value)


@pytest.mark.parametrize("secured", ["tls in front of it"], indirect=True)
def test_a_database_without_tls_is_refused(secured):
    plain = URL.create("postgresql", "gridpatrol", None, "127.0.0.1", secured.server.port, "postgres")
    with pytest.raises(DatabaseUnusable, match=r"does not support SSL.*sslmode"):
        open_database(f"{plain}?sslmode=verify-full&sslrootcert={secured.ca}")
