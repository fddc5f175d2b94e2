"""Policy packs on disk: the folders that are shipped, and the reading of a folder.

A folder is named by its path, or by the name of a shipped pack. This file only reads; the code that compiles and judges
a pack is pure and lives in `workflows.policy`.
"""

import logging
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from engine.errors import GridpatrolError
from workflows.policy.compile import compile_rows
from workflows.policy.index import Policy
from workflows.policy.lint import lint
from workflows.policy.model import Pack, digest, encode
from workflows.policy.problems import Finding, Problems, has_errors

log = logging.getLogger(__name__)

SUFFIXES = (".toml", ".csv", ".geojson")
MAX_BYTES = 64 * 1024 * 1024  # a province's polygons fit; a video does not

_SAVE_AS = "save it as UTF-8 (Excel: Save As, file type 'CSV UTF-8'; 另存为 CSV UTF-8)"


class PackError(GridpatrolError):
    """A pack that cannot be used. Each of its problems says what to do."""

    def __init__(self, folder: Path, problems: Iterable[Finding]) -> None:
        self.folder = folder
        self.problems = list(problems)
        errors = [str(problem) for problem in self.problems if problem.severity == "error"]
        super().__init__(f"the pack in {folder} cannot be used:\n" + "\n".join(errors))


def shipped() -> dict[str, Path]:
    """The packs that come with gridpatrol: name -> folder."""
    root = Path(str(files("workflows"))) / "packs"
    return {folder.name: folder for folder in sorted(root.iterdir()) if (folder / "pack.toml").is_file()}


def folder_of(name: str) -> Path:
    """The folder of a shipped pack by its name, or the path itself."""
    path = Path(name)
    return path if path.is_dir() else shipped().get(name, path)


def read_folder(folder: Path) -> tuple[dict[str, str], list[Finding]]:
    """The texts of a pack folder by file name, and a problem for each file that is no UTF-8 text."""
    problems = Problems()
    if not folder.is_dir():
        known = ", ".join(shipped())
        problems.error(str(folder), 0, "", "is no folder", f"give the folder of a pack, or one of: {known}")
        return {}, problems
    texts = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()):
        try:
            if path.stat().st_size > MAX_BYTES:
                problems.error(path.name, 0, "", f"is larger than {MAX_BYTES // 2**20} MiB", "simplify its polygons")
                continue
            body = path.read_bytes()
            texts[path.name] = body.decode("utf-8-sig")
        except OSError as error:
            problems.error(path.name, 0, "", f"cannot be read ({error.strerror})", "check its permissions")
        except UnicodeDecodeError as error:
            row = body.count(b"\n", 0, error.start) + 1
            problems.error(path.name, row, "", f"is not UTF-8 but {_encoding(body)}", _SAVE_AS)
    return texts, problems


def _encoding(body: bytes) -> str:
    """A guess at what a spreadsheet program wrote instead, for the message only."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    try:
        body.decode("gb18030")
    except UnicodeDecodeError:
        return "another encoding"
    return "probably GBK (GB 18030)"


def load_folder(path: str | Path) -> tuple[Pack | None, list[Finding]]:
    """Read and compile a pack. With an error among the problems there is no pack; nothing is linted."""
    texts, problems = read_folder(folder_of(str(path)))
    if has_errors(problems):
        return None, problems
    compiled = compile_rows(texts)
    return compiled.pack, [*problems, *compiled.problems]


def check_folder(path: str | Path, day: int = 0) -> tuple[Pack | None, list[Finding]]:
    """Read, compile and lint a pack as of a local day (YYYYMMDD; 0 asks nothing that depends on the day)."""
    texts, problems = read_folder(folder_of(str(path)))
    if has_errors(problems):
        return None, problems
    compiled = compile_rows(texts)
    found = [*problems, *compiled.problems]
    if compiled.pack is not None:
        found += lint(compiled.pack, day, compiled.rows)
    return compiled.pack, found


def check_pack(pack: Pack) -> list[Finding]:
    """Lint a compiled pack that somebody sends, and index it as decisions need it. With an error among the findings it
    must not be activated: every partition would stumble over it."""
    problems = Problems()
    try:
        problems += lint(pack)
        if not has_errors(problems):
            Policy(pack, digest(pack))
    except Exception as error:
        log.exception("a pack that was sent cannot be checked")
        name = type(error).__name__
        problems.error("pack", 0, "", f"is no pack that `gridpatrol pack` compiled ({name})", "compile its folder anew")
    if b"\\u0000" in encode(pack):
        problems.error("pack", 0, "", "has U+0000 in a text, which no database takes", "remove the character")
    return problems


def load_pack(path: str | Path) -> Pack:
    """The compiled pack of a folder that must be usable; raises PackError with all problems."""
    pack, problems = load_folder(path)
    if pack is None:
        raise PackError(folder_of(str(path)), problems)
    return pack
