"""What only the source tree has: `lab/` runs brokers and databases on this machine and stays out of the wheel."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def lab(name: str) -> ModuleType:
    """The module `lab.<name>`. FileNotFoundError where gridpatrol was installed without its source tree."""
    if not (ROOT / "lab" / "__init__.py").is_file():
        raise FileNotFoundError(f"{ROOT} has no lab/: this is measured from a clone of the source tree only")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module(f"lab.{name}")
