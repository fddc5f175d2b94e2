"""The pages say what is so: their links lead somewhere, and what they name exists.

Enters: every page in Markdown, the alert rules and the compose files. Leaves: nothing. Commands are parsed and not
given, but for the blocks after `<!-- run -->`: those of a page run one after another in an empty folder.

A rule is a function from text to what is wrong with it. The second half holds each rule to wrong lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from engine.http.app import ROUTES
from engine.settings import Settings
from gridpatrol.cli import main
from tests.support.forks import command_in

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("schemas", "workflows", "engine", "consumers", "gridpatrol", "lab", "docker", "docs", "tests")
SHIPPED = ("schemas", "workflows", "engine", "consumers", "gridpatrol")
BUILT = {".git", ".venv", "var", "build", "dist"}
PAGES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.md") if not BUILT & set(p.parts))
TELLING_OF_ELSE = ("CHANGELOG.md", "tests/vendor/README.md", "tests/fixtures/f28de43/README.md")
TELLING_OF_NOW = [page for page in PAGES if page not in TELLING_OF_ELSE]
"""The changelog also tells of what is gone, and the other page of repositories that are not ours."""
RULES = "gridpatrol/data/ops/prometheus/rules.yml"
COMPOSE = ("docker/compose.yaml", "docker/compose.tls.yaml")
OPERATIONS = "docs/operations.md"
MADE_BY_SCRIPTS = ("docker/secrets/",)
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_.:/,@-]*|.*\.\.\.|.*…")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def read_of_now(page: str) -> str:
    """Without the diffs of recipes: they name what is not there yet."""
    return re.sub(r"^```diff\n.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


# ---- what is code in a page -----------------------------------------------------------------------------------

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")


def lines_of_code(text: str) -> list[str]:
    """Lines of blocks, with those joined that a backslash continues, and what stands between single backticks."""
    blocks = [found[2] for found in FENCE.finditer(text) if found[1] != "mermaid"]
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    return lines + [" ".join(found[1].split()) for found in INLINE.finditer(FENCE.sub("", text))]


def commented_lines(text: str) -> list[str]:
    """Lines with `docker compose` in the comments of a YAML file, and what stands between its backticks."""
    comments = "\n".join(line.lstrip()[1:] for line in text.splitlines() if line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", comments).splitlines()
    told = [line for line in joined if "docker compose" in line and "`" not in line]
    return told + [" ".join(found[1].split()) for found in INLINE.finditer(comments)]


def commands_in(line: str) -> Iterator[list[str]]:
    """The words of each command of a line of shell. What is no shell has none."""
    lexer = shlex.shlex(re.sub(r"<[\w.-]+>", "PLACEHOLDER", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("();<>|&"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"\w+=.*", word):  # a variable that is set for the command
            command.append(word)


# ---- the rules ------------------------------------------------------------------------------------------------


def wrong_commands(line: str) -> list[str]:
    """`gridpatrol ...` that the command would not take. Arguments may be left out; capitals stand for values."""
    found = [words[words.index("gridpatrol") + 1 :] for words in commands_in(line) if "gridpatrol" in words]
    return [f"`{line}`: {why}" for words in found if (why := _refused(words))]


def _refused(words: list[str]) -> str:
    command: click.Command = main
    context = click.Context(command, info_name="gridpatrol")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        if inner is None:
            return f"there is no command {words[0]!r}"
        context = click.Context(inner, parent=context, info_name=words[0])
        command, words = inner, words[1:]
    try:
        values, more, _ = command.make_parser(context).parse_args(list(words))
        for parameter in command.params:
            _convert(parameter, values.get(parameter.name or ""), context)
    except click.UsageError as error:
        return error.format_message()
    return f"nothing takes {more}" if more else ""


def _convert(parameter: click.Parameter, value: object, context: click.Context) -> None:
    """Refuse a value of the wrong type. Files need not be there."""
    given = value if isinstance(value, list | tuple) else [value]
    if not isinstance(parameter.type, click.Path | click.File):
        for each in given:
            if isinstance(each, str) and not PLACEHOLDER.fullmatch(each):
                parameter.type.convert(each, parameter, context)


def wrong_targets(line: str) -> list[str]:
    """`make X` that the Makefile does not have."""
    targets = {word for words in commands_in(line) if words[0] == "make" for word in words[1:] if "=" not in word}
    return [f"`{line}`: no target {target!r}" for target in sorted(targets - _targets())]


@cache
def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


def wrong_compose(line: str) -> list[str]:
    """`docker compose ...` with a file, a verb or a service that there is not."""
    wrong = []
    for words in commands_in(line):
        if words[:2] != ["docker", "compose"]:
            continue
        left = words[2:]
        while left and (left[0] == "-f" or PLACEHOLDER.fullmatch(left[0])):
            if left[0] == "-f" and not (ROOT / left[1]).is_file():
                wrong.append(f"`{line}`: no file {left[1]}")
            left = left[2:] if left[0] == "-f" else left[1:]
        if not left:
            continue
        verb, named = left[0], _services_in(left[1:])
        if verb not in ("up", "stop", "ps", "logs", "exec", "run"):
            wrong.append(f"`{line}`: {verb!r} is none of the verbs that are known here")
        named = named[:1] if verb in ("exec", "run") else named
        wrong += [f"`{line}`: no service {name!r}" for name in named if name not in _services()]
    return wrong


def _services_in(words: list[str]) -> list[str]:
    """The words that are neither options nor the value of `-e`."""
    return [w for before, w in zip(["", *words], words, strict=False) if before != "-e" and not w.startswith("-")]


@cache
def _services() -> set[str]:
    return {name for file in COMPOSE for name in yaml.safe_load(read(file))["services"]}


def wrong_files(line: str) -> list[str]:
    """Paths of the repository that are not there. A folder by its bare name is a room, and may be empty yet."""
    paths = re.findall(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w[\w/-]*", line)
    looked = [path for path in paths if not path.startswith(MADE_BY_SCRIPTS)]
    return [f"`{line}`: no {path}" for path in looked if not (ROOT / path).exists()]


def wrong_names(line: str) -> list[str]:
    """`path.py: name` whose file does not define the name."""
    named = re.fullmatch(r"([\w/]+\.py): (\w+)", line)
    if not named or not (ROOT / named[1]).exists():
        return []
    defined = re.search(rf"^ *(?:async )?(?:def|class) {named[2]}\b|^{named[2]}\b.*=", read(named[1]), re.MULTILINE)
    return [] if defined else [f"`{line}`: {named[1]} defines no {named[2]}"]


def wrong_settings(text: str) -> list[str]:
    """Variables that nobody reads."""
    named = set(re.findall(r"GRIDPATROL_[A-Z_]*[A-Z]\b(?!_?\*)", text))
    return [f"nobody reads {name}" for name in sorted(named - _variables())]


@cache
def _variables() -> set[str]:
    settings = {f"GRIDPATROL_{name.upper()}" for name in Settings.__struct_fields__}
    code = [
        path.read_text(encoding="utf-8")
        for top in (*SHIPPED, "lab", "tests")
        for path in (ROOT / top).rglob("*.py")
        if not path.name.startswith("test_")
    ]
    return settings | {name for text in code for name in re.findall(r"[\"'](GRIDPATROL_[A-Z_]+)[\"']", text)}


def wrong_routes(text: str) -> list[str]:
    """Paths that the door does not have."""
    named = set(re.findall(r"(?<![\w.])/v1(?:/[\w.-]+)+", text))
    return [f"no route {path}" for path in sorted(named) if not any(route.fullmatch(path) for route in _routes())]


@cache
def _routes() -> list[re.Pattern[str]]:
    paths = [path for route in ROUTES for path in route.paths]
    return [re.compile(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(path))) for path in paths]


def wrong_metrics(text: str) -> list[str]:
    """Metrics that nobody tells."""
    named = set(re.findall(r"\bgridpatrol_[a-z_]+", text))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name): name for name in named}
    return [f"no metric {name}" for short, name in sorted(bare.items()) if short not in _metrics()]


@cache
def _metrics() -> set[str]:
    """Names that are followed by what they mean."""
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "engine/metrics").glob("*.py")]
    return {name for text in code for name in re.findall(r'"(gridpatrol_[a-z_]+)",\s*"[A-Z1-9]', text)}


def wrong_links(page: str, text: str) -> list[str]:
    """Links into the repository that lead nowhere."""
    bare = INLINE.sub("", FENCE.sub("", text))
    links = [link for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", bare) if "://" not in link]
    return [f"{page}: {link} {why}" for link in links if (why := _leads_nowhere(page, link))]


def _leads_nowhere(page: str, link: str) -> str:
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists():
        return "is not there"
    if anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
        return f"has no heading {anchor!r}"
    return ""


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


OF_LINES: list[Callable[[str], list[str]]] = [wrong_commands, wrong_targets, wrong_compose, wrong_files, wrong_names]
OF_TEXTS: list[Callable[[str], list[str]]] = [wrong_settings, wrong_routes, wrong_metrics]


# ---- the pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    assert wrong_links(page, read(page)) == []


@pytest.mark.parametrize("page", TELLING_OF_NOW)
@pytest.mark.parametrize("rule", OF_LINES, ids=lambda rule: rule.__name__)
def test_commands_and_files_that_a_page_names_exist(page: str, rule: Callable[[str], list[str]]) -> None:
    assert [wrong for line in lines_of_code(read_of_now(page)) for wrong in rule(line)] == []


@pytest.mark.parametrize("page", [*TELLING_OF_NOW, RULES, *COMPOSE])
@pytest.mark.parametrize("rule", OF_TEXTS, ids=lambda rule: rule.__name__)
def test_settings_routes_and_metrics_that_a_page_names_exist(page: str, rule: Callable[[str], list[str]]) -> None:
    assert rule(read_of_now(page)) == []


def test_the_commands_of_the_runbooks_exist() -> None:
    runbooks = [line for line in read(RULES).splitlines() if "runbook:" in line]
    assert [wrong for line in lines_of_code("\n".join(runbooks)) for wrong in wrong_commands(line)] == []


@pytest.mark.parametrize("file", COMPOSE)
def test_the_commands_in_the_comments_of_the_compose_files_exist(file: str) -> None:
    lines = commented_lines(read(file))
    assert any("docker compose" in line for line in lines)
    assert [wrong for line in lines for rule in (wrong_commands, wrong_compose) for wrong in rule(line)] == []


def test_the_readme_is_one_screen_and_a_tour() -> None:
    assert len(read("README.md").splitlines()) <= 150


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\((docs/[\w-]+\.md)\)", read("README.md")))
    assert linked == {page for page in PAGES if page.startswith("docs/")}


def test_the_chinese_readme_tells_the_same() -> None:
    """The same commands and requests, the same pages, as many sections."""

    def told(page: str) -> tuple[list[str], set[str], list[str]]:
        text = read(page)
        text = re.sub(r"<!-- begin timeline -->.*?<!-- end timeline -->", "", text, flags=re.DOTALL)  # in one of them
        blocks = [found[2] for found in FENCE.finditer(text)]
        commands = [re.sub(r' *# .*|"description": "[^"]*"', "", block) for block in blocks]
        linked = set(re.findall(r"\]\(([\w./-]+)\)", text))
        return commands, linked - {"README.md", "README.zh.md"}, re.findall(r"^#+ ", text, re.MULTILINE)

    assert told("README.zh.md") == told("README.md")


def test_every_setting_stands_in_operations_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(GRIDPATROL_\w+)` \| (?:`([^`]*)`)? ?\|", read(OPERATIONS), re.MULTILINE)
    plain = Settings()
    assert rows == [(n, f"GRIDPATROL_{n.upper()}", str(getattr(plain, n))) for n in Settings.__struct_fields__]


def test_every_alarm_stands_in_operations_and_no_other() -> None:
    alarms = {
        rule["alert"] for group in yaml.safe_load(read(RULES))["groups"] for rule in group["rules"] if "alert" in rule
    }
    assert set(re.findall(r"\bGridpatrol[A-Z]\w+", read(OPERATIONS))) == alarms


# ---- blocks that run ------------------------------------------------------------------------------------------

RUN = re.compile(r"^<!-- run -->\n```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run_blocks(folder: Path, text: str) -> list[str]:
    """The blocks of a page that end with another status than 0, and what they said."""
    found = folder / "bin"
    found.mkdir()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}
    ours |= {"PATH": f"{found}:{os.environ['PATH']}"}
    failed = []
    with command_in(found):
        for script in RUN.findall(text):
            told = ["bash", "-euo", "pipefail", "-c", script]
            done = subprocess.run(told, cwd=folder, env=ours, capture_output=True, text=True, timeout=300)
            if done.returncode:
                failed.append(f"{script}\nstatus {done.returncode}\n{done.stdout}{done.stderr}")
    return failed


@pytest.mark.parametrize("page", [page for page in PAGES if RUN.search(read(page))])
def test_the_blocks_of_a_page_that_are_to_run_do(page: str, tmp_path: Path) -> None:
    assert run_blocks(tmp_path, read(page)) == []


def test_there_are_blocks_that_run_and_every_mark_has_one() -> None:
    for page in PAGES:
        marks = re.findall(r"^<!-- run -->$", read(page), re.MULTILINE)
        assert len(marks) == len(RUN.findall(read(page))), page
    assert len(RUN.findall(read(OPERATIONS))) >= 5


# ---- the rules can fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (wrong_commands, "gridpatrol serv"),
        (wrong_commands, "gridpatrol deadletter lst --open"),
        (wrong_commands, "gridpatrol verify --databas sqlite:///x.db"),
        (wrong_commands, "gridpatrol verify --database"),  # an option without its value
        (wrong_commands, "gridpatrol verify everything"),  # an argument too many
        (wrong_commands, "gridpatrol serve --role wrker"),
        (wrong_commands, "gridpatrol log settle 17 x --skip"),
        (wrong_commands, "gridpatrol log settle 17 4711 --stamp 2026-11-22T10:00"),  # an instant without a zone
        (wrong_commands, "A=1 gridpatrol verify && gridpatrol verfy"),
        (wrong_commands, "gridpatrol import boston311 | gridpatrol reply -"),
        (wrong_commands, "docker compose -f docker/compose.yaml exec gateway gridpatrol verfy"),
        (wrong_targets, "make runn"),
        (wrong_targets, "make check tests"),
        (wrong_compose, "docker compose -f docker/compose.yml up"),
        (wrong_compose, "docker compose -f docker/compose.yaml upp"),
        (wrong_compose, "docker compose -f docker/compose.yaml stop gatewy"),
        (wrong_compose, "GRIDPATROL_TOKEN=x docker compose exec -e GRIDPATROL_TOKEN gatewy gridpatrol verify"),
        (wrong_files, "docker/secret.sh && docker/certificates.sh"),
        (wrong_files, "workflows/packs/README.txt"),
        (wrong_names, "engine/runtime.py: wrok"),
        (wrong_settings, "set GRIDPATROL_DATABSE"),
        (wrong_routes, "GET /v1/incident?overdue=true"),
        (wrong_routes, "POST /v1/operator/settlement"),
        (wrong_metrics, "gridpatrol_timer_lag"),
        (lambda text: wrong_links("README.md", text), "[a](docs/operation.md)"),
        (lambda text: wrong_links("README.md", text), "[a](docs/operations.md#setting)"),
        (lambda text: wrong_links("docs/sizing.md", text), "[a](docs/operations.md)"),
        (lambda text: wrong_links("README.md", text), "[`a`](#tour)"),
    ],
)
def test_a_rule_finds_what_is_wrong(rule: Callable[[str], list[str]], line: str) -> None:
    assert rule(line)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (wrong_commands, "gridpatrol deadletter replay LETTER"),
        (wrong_commands, "gridpatrol log settle PARTITION POSITION --through LAST --stamp INSTANT --why 'a clock'"),
        (wrong_commands, "gridpatrol incident show <id>  # in full"),
        (wrong_commands, "gridpatrol.toml"),
        (wrong_commands, "pg_dump --username=gridpatrol gridpatrol > FILE"),
        (wrong_commands, "diff <(gridpatrol facts export --without-n) <(gridpatrol facts export --database B)"),
        (wrong_targets, "make chaos-cluster SECONDS=60"),
        (wrong_compose, "docker compose ... run --rm setup gridpatrol db upgrade"),
        (wrong_files, "docker/secrets/principals.toml"),
        (wrong_files, "lab/"),
        (wrong_names, "engine/runtime.py: Engine"),
        (wrong_names, "workflows/definitions/incident.py: TRANSITIONS"),
        (wrong_settings, "every GRIDPATROL_* is one of engine/settings.py; GRIDPATROL_TOKEN is none"),
        (wrong_routes, "GET /v1/incidents/WY01.019ca8f8?grid=WY"),
        (wrong_metrics, "rate(gridpatrol_commit_duration_seconds_bucket[5m])"),
        (lambda text: wrong_links("README.md", text), "[a](https://cloudevents.io) [b](#the-tour) `[c](d)`"),
    ],
)
def test_a_rule_leaves_alone_what_is_right(rule: Callable[[str], list[str]], line: str) -> None:
    assert rule(line) == []


@pytest.mark.parametrize("script", ["gridpatrol verify", "gridpatrol deadletter lst", "false | true", "echo $NOT_SET"])
def test_a_block_that_fails_is_told(script: str, tmp_path: Path) -> None:
    assert run_blocks(tmp_path, f"<!-- run -->\n```sh\n{script}\n```\n")


def test_a_heading_is_named_as_github_names_it() -> None:
    assert anchors("# A\n## grids.csv\n### Who may speak?\n```\n# no heading\n```\n") == {
        "a",
        "gridscsv",
        "who-may-speak",
    }
