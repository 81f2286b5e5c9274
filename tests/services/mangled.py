"""Answers and files with a few bytes changed: what a broken, odd or hostile other side may send, the same in every run."""

import random
from collections.abc import Iterator, Sequence

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"00",
    b"+5",
    b"\xb2",
    b"1e9",
    b"0x10",
    b"4294967296",
    b"9223372036854775808",
    b"9" * 19,
    b"9" * 400,
    b"",
)
BYTES = (
    b"\0",
    b"\xff\xfe",
    b"\xe9",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b'"',
    b"%",
    b"\\",
    b"\xf0\x9f\x92\xa9",
    b"\x1b[31m",
)


def mangled(whole: bytes, chance: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Change one to four places: a number, a few bytes, a line left out, doubled or moved; now and then the end is cut off."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = chance.choice(BYTES)
            case 1:
                data[at:at] = chance.choice((*BYTES, *words))
            case 2:
                _number(data, chance)
            case 3:
                _line(data, chance)
            case 4:
                del data[at : at + chance.randint(1, 12)]
            case 5:
                data[at:at] = chance.choice((b"A" * 70_000, b"a: b\r\n" * 20, b"\xff" * 300, b"x" * 1000))
            case 6 if chance.random() < 0.3:
                del data[at:]
    return bytes(data)


def many(seeds: Sequence[bytes], count: int, seed: str, words: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield `count` changed answers, in turn of each of `seeds`."""
    chance = random.Random(seed)
    for number in range(count):
        yield mangled(seeds[number % len(seeds)], chance, words)


def _number(data: bytearray, chance: random.Random) -> None:
    places = [at for at, byte in enumerate(data) if chr(byte).isdigit()]
    if places:
        start = end = chance.choice(places)
        while end < len(data) and chr(data[end]).isdigit():
            end += 1
        data[start:end] = chance.choice(NUMBERS)


def _line(data: bytearray, chance: random.Random) -> None:
    lines = bytes(data).split(b"\r\n")
    at = chance.randrange(len(lines))
    line = lines.pop(at)
    if chance.random() < 0.7:
        for _ in range(chance.choice((1, 2))):
            lines.insert(chance.randrange(len(lines) + 1), line)
    data[:] = b"\r\n".join(lines)
