"""Values that the examples of the contract share, as the sample pack's city has them."""

OTHER = "WY01.0195539a-1f40-7a11-8c02-1d2e3f405162"
"""A case."""
EARLIER = "2026-02-01T00:00:00.000+08:00"
LATER = "2026-03-09T18:00:00.000+08:00"
PHOTO = {
    "url": "https://files.example/1.jpg",
    "sha256": "ab" * 32,
    "kind": "near",
    "taken_at": "2026-03-02T08:59:00.000+08:00",
    "position": {"lon": 108.845, "lat": 34.385, "accuracy_m": 12.5},
}
