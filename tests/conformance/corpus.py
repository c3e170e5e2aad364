"""Where the captures are and which files of the corpus are captures."""

import gzip
import os
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]

# The magic numbers of pcap (both byte orders, micro- and nanoseconds, the two
# variants old libpcaps wrote) and the pcapng section header block.
MAGICS = {
    bytes.fromhex(text)
    for text in (
        "a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1",
        "a1b2cd34", "34cdb2a1", "0a0d0d0a",
    )
}


def folder():
    """The corpus: $CORPUS, else ../shared/corpus beside the repository."""
    named = os.environ.get("CORPUS")
    path = pathlib.Path(named) if named else REPO.parent / "shared" / "corpus"
    if not (path / "packets").is_dir():
        sys.exit(
            f"conformance: no corpus at {path}: "
            "set CORPUS to the folder that holds packets/ and malformed/"
        )
    return path.resolve()


def is_capture(path):
    """By its first four bytes, through gzip where it is compressed."""
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                magic = file.read(4)
    except (OSError, EOFError):
        return False
    return magic in MAGICS


def captures(root, under="packets"):
    """Every capture below a folder of the corpus, in name order."""
    found = (path for path in (root / under).rglob("*") if path.is_file())
    return sorted(path for path in found if is_capture(path))
