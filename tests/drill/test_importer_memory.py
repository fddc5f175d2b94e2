"""The importer takes no more memory for a larger file."""

import tracemalloc
from pathlib import Path

from gridpatrol.importers.boston311 import events
from tests.city.test_importer import TREE, file_of, line_of


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(copies: int) -> int:
        path = file_of(tmp_path, *(line_of(case_enquiry_id=f"{n}") for n in range(copies)))
        tracemalloc.start()
        for _ in events(path, TREE, print, run=250):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(8_000) < 2.5 * peak(1_000)
