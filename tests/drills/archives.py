"""Forged archives of a model: only a whole one is stored, and none writes or runs anything else."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import struct
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.drills.forked import Fork
from tests.drills.shop import Ending, Shop, row, shop
from tests.drills.table import Row, show

TRIES_EACH = 42
RECORD, WEIGHTS = "model.json", "weights.safetensors"
Members = list[tuple[tarfile.TarInfo, bytes]]
Forger = Callable[[Members, random.Random], Members]


@dataclass
class Payload:
    """Something that runs when it is unpickled."""

    path: str

    def __reduce__(self) -> tuple[object, ...]:
        """Make a file."""
        return Path.touch, (Path(self.path),)


def main() -> int:
    """Run the drill."""
    return show(drill())


def drill() -> Iterator[Row]:
    """Yield a row for each kind of forgery."""
    with shop() as tried:
        archive = (tried.root / "shop.tar").read_bytes()
        proof = tried.root / "proof"
        for kind, forge in _BYTES.items():
            yield _row(tried, f"bytes: {kind}", lambda chance, f=forge: f(archive, chance), proof)
        for kind, forger in _MEMBERS.items():
            made = lambda chance, f=forger: _packed(f(_members(archive), chance))  # noqa: E731
            yield _row(tried, f"members: {kind}", made, proof)
        for kind, forger in _forgers_of_content(proof).items():
            made = lambda chance, f=forger: _packed(f(_members(archive), chance))  # noqa: E731
            yield _row(tried, f"content: {kind}", made, proof)


def _row(tried: Shop, kind: str, forged: Callable[[random.Random], bytes], proof: Path) -> Row:
    endings, harm = list[Ending](), list[str]()
    before = _outside(tried)
    for number in range(TRIES_EACH):
        (tried.root / "forged.tar").write_bytes(forged(random.Random(f"{kind} {number}")))
        ending = Fork(tried, "models import forged.tar --name forged").ended()
        endings.append(_without_blame(ending))
        (tried.root / "forged.tar").unlink()
        if proof.exists():
            harm.append(f"try {number}: content was executed")
            proof.unlink()
        if _outside(tried) != before:
            harm.append(f"try {number}: files outside of the registry have changed")
            before = _outside(tried)
    if (checked := Fork(tried, "models verify").ended()).code:
        harm.append(
            f"afterwards `models verify` ends with {checked.code}: {checked.out}{checked.err}"
        )
    return row(kind, endings, harm)


def _without_blame(ending: Ending) -> Ending:
    """Let an archive be called damaged: it is."""
    return Ending(ending.command, ending.code, ending.out, ending.err.replace("damaged", "dam-ged"))


def _outside(tried: Shop) -> dict[str, bytes]:
    """Return what there is besides models."""
    return {
        str(path.relative_to(tried.root)): path.read_bytes()
        for path in tried.root.rglob("*")
        if path.is_file() and tried.home / "models" not in path.parents
    }


# Bytes of the archive -------------------------------------------------------------------------


def _cut(archive: bytes, chance: random.Random) -> bytes:
    return archive[: chance.randrange(len(archive))]


def _flipped(archive: bytes, chance: random.Random) -> bytes:
    changed = bytearray(archive)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _noise(archive: bytes, chance: random.Random) -> bytes:
    start, size = chance.randrange(len(archive)), chance.randint(1, 2000)
    return archive[:start] + chance.randbytes(size) + archive[start + size :]


def _nonsense(archive: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(0, 20_000))


_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut short": _cut,
    "bits flipped": _flipped,
    "noise inside": _noise,
    "nonsense": _nonsense,
}

# Members --------------------------------------------------------------------------------------


def _members(archive: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def _packed(members: Members) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return stream.getvalue()


def _renamed(members: Members, chance: random.Random) -> Members:
    member, _ = chance.choice(members)
    name = member.name
    member.name = chance.choice(
        [
            f"../{name}",
            f"../../../{name}",
            f"/tmp/{name}",
            f"data/../../{name}",
            f"./{name}",
            "x",
            "",
        ]
    )
    return members


def _another_kind(members: Members, chance: random.Random) -> Members:
    place = chance.randrange(len(members))
    member, _ = members[place]
    member.type = chance.choice(
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    )
    member.linkname = chance.choice(["/etc/passwd", "../../../log.csv", RECORD])
    member.size = 0
    members[place] = member, b""
    return members


def _others(members: Members, chance: random.Random) -> Members:
    extra = tarfile.TarInfo(chance.choice(["data/extra.npy", "../extra", RECORD, "a/" * 200 + "b"]))
    extra.size = 10
    return chance.choice(
        [
            [*members, (extra, b"0123456789")],
            [(extra, b"0123456789"), *members],
            [m for m in members if m is not chance.choice(members)][:-1],
            [*members, chance.choice(members)],
            members[::-1],
            [],
        ]
    )


_MEMBERS: dict[str, Forger] = {
    "renamed": _renamed,
    "links and devices": _another_kind,
    "missing, doubled, strange": _others,
}

# Content, with hashes that fit ----------------------------------------------------------------


def _forgers_of_content(proof: Path) -> dict[str, Forger]:
    payload = pickle.dumps(Payload(str(proof)))

    def pickled(members: Members, chance: random.Random) -> Members:
        name = chance.choice([member.name for member, _ in members if member.name != RECORD])
        if name.endswith(".npy"):
            head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
            head = head.ljust(117) + b"\n"
            return _replaced(
                members, name, b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + head + payload
            )
        return _replaced(members, name, payload)

    return {
        "pickles": pickled,
        "records": _strange_record,
        "weights": _strange_weights,
        "arrays": _strange_arrays,
        "tables": _strange_table,
    }


def _by_name(members: Members) -> dict[str, bytes]:
    return {member.name: content for member, content in members}


def _replaced(members: Members, name: str, content: bytes) -> Members:
    """Replace a file, and its hash and size in the record."""
    record = json.loads(_by_name(members)[RECORD])
    record["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return [
        _member(m, {RECORD: json.dumps(record).encode(), name: content}.get(m.name, c))
        for m, c in members
    ]


def _member(member: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member.size = len(content)
    return member, content


_STRANGE = [
    None,
    -1,
    10**30,
    1e400,
    "",
    "x" * 100_000,
    [],
    {},
    [[[[]]]],
    True,
    "\x1b[2J",
    "../../x",
]


def _strange_record(members: Members, chance: random.Random) -> Members:
    record = json.loads(members[0][1])
    at = record
    for _ in range(chance.randint(0, 3)):
        inner = [value for value in at.values() if isinstance(value, dict) and value]
        if not inner:
            break
        at = chance.choice(inner)
    at[chance.choice(list(at))] = chance.choice(_STRANGE)
    content = json.dumps(record).encode()
    if chance.random() < 0.1:
        content = b"[" * 100_000
    return [_member(members[0][0], content), *members[1:]]


def _strange_weights(members: Members, chance: random.Random) -> Members:
    content = _by_name(members)[WEIGHTS]
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    name = chance.choice([key for key in header if key != "__metadata__"])
    header[name][chance.choice(["dtype", "shape", "data_offsets"])] = chance.choice(
        ["F32", "OBJECT", [], [-1], [10**12], [2**63, 2**63], [0, 10**15], [5, 1], None, {}]
    )
    changed = json.dumps(header).encode()
    length = chance.choice([len(changed), 0, 2**63, len(changed) * 2])
    return _replaced(members, WEIGHTS, struct.pack("<Q", length) + changed + content[8 + size :])


def _strange_arrays(members: Members, chance: random.Random) -> Members:
    name = chance.choice([member.name for member, _ in members if member.name.endswith(".npy")])
    content = _by_name(members)[name]
    changed = chance.choice(
        [
            content[: chance.randrange(len(content))],
            content[:128] + chance.randbytes(max(0, len(content) - 128)),
            content.replace(b"<i", b">i", 1),
            content.replace(b"<i4", b"|O8", 1).replace(b"<i8", b"|O8", 1),
            b"\x93NUMPY\x01\x00\xff\xff" + content[10:],
            content + bytes(100),
            b"",
        ]
    )
    return _replaced(members, name, changed)


def _strange_table(members: Members, chance: random.Random) -> Members:
    name = chance.choice([member.name for member, _ in members if member.name.endswith(".parquet")])
    content = _by_name(members)[name]
    return _replaced(
        members, name, _flipped(content, chance) if chance.random() < 0.7 else b"PAR1PAR1"
    )


if __name__ == "__main__":
    sys.exit(main())
