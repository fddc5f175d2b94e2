"""The README's line of proof is what the city's record gives today."""

from gridpatrol.render import readme


def test_the_line_of_proof_is_fresh() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert readme.block(text, "proof") == readme.proof(), "stale: run `make fresh`"
