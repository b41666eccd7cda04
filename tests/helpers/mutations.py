"""Ways to corrupt a text file: by bytes, by lines, by values; all from a seeded generator."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

NUMBER = re.compile(rb"(?<![A-Za-z_0-9])-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?(?![A-Za-z_0-9])")
VALUE = re.compile(rb"(?m)= *([^\n]+)$")
CELL = re.compile(rb"(?<=,)[^,\n]*(?=[,\n])")
ODD_NUMBERS = (
    *(b"nan", b"-nan", b"inf", b"-inf", b"0", b"-0.0", b"-1", b"1e999", b"-1e308", b"1e308", b"1e-320", b"1e-9"),
    *(
        b"9" * 400,
        b"9" * 5000,
        b"1_000",
        b"0x10",
        b"1e",
        b"1.2.3",
        b"12,5",
        b"",
        b" ",
        b"True",
        b"18446744073709551616",
    ),
)
ODD_VALUES = (
    *(b"true", b"[]", b"{}", b'""', b"[[]]", b"1979-05-27", b"07:32:00", b"nan", b"-inf", b"{a = 1}", b"['x', 2]"),
    *(b'"' + "☃\\n\\u2028\\u0000".encode() + b'"', b'"""\n\n"""', b"9" * 5000, b"0o7", b"1e400", b"'x' # y", b"= 1"),
)
ODD_BYTES = (
    b"\0",
    b"\r",
    b"\r\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b'"',
    b"'",
    b",",
    b"\n\n",
    b"\t",
    "é☃\u2028\u0085𐏿".encode(),
)


def corrupt(data: bytes, rng: Random) -> bytes:
    """Return the file after one to three mutations, at times none."""
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 5, 20, 200, 2000)))


def flip_bit(data: bytes, rng: Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def delete(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def double(data: bytes, rng: Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] + data[stop:]


def truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(ODD_BYTES) + data[place:]


def swap_lines(data: bytes, rng: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def double_line(data: bytes, rng: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


def drop_line(data: bytes, rng: Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def swap_cells(data: bytes, rng: Random) -> bytes:
    """Exchange two cells of a CSV, or nothing where there are none."""
    cells = sorted(rng.sample(found, 2), key=lambda cell: cell.start()) if len(found := _found(CELL, data)) > 1 else []
    if not cells:
        return data
    a, b = cells
    return data[: a.start()] + b[0] + data[a.end() : b.start()] + a[0] + data[b.end() :]


def odd_number(data: bytes, rng: Random) -> bytes:
    return _replaced(NUMBER, 0, data, rng, rng.choice(ODD_NUMBERS))


def odd_cell(data: bytes, rng: Random) -> bytes:
    return _replaced(CELL, 0, data, rng, rng.choice((*ODD_NUMBERS, *ODD_BYTES)))


def odd_value(data: bytes, rng: Random) -> bytes:
    return _replaced(VALUE, 1, data, rng, rng.choice(ODD_VALUES))


def nest(data: bytes, rng: Random) -> bytes:
    """Put a value, table or key of hundreds of levels where a value or a line is."""
    depth = rng.choice((50, 400, 3000))
    deep = rng.choice((b"[" * depth + b"]" * depth, b"[" * depth, b"{a=" * depth + b"1" + b"}" * depth))
    if rng.random() < 0.5:
        return _replaced(VALUE, 1, data, rng, deep)
    keys = b".".join([b"a"] * depth)
    line = rng.choice((keys + b" = 1\n", b"[" + keys + b"]\n", b"options." + keys + b" = 1\n", b"x = " + deep + b"\n"))
    return rng.choice((line + data, data + b"\n" + line))


def long_line(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return (
        data[:place]
        + rng.choice((b"x", b"7", b",", b" ", b'"', b"#", b"7 ")) * rng.choice((5_000, 100_000))
        + data[place:]
    )


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bit, delete, double, truncate, insert, swap_lines, double_line, drop_line, swap_cells),
    *(odd_number, odd_cell, odd_value, odd_number, odd_value, nest, long_line),
)


def _found(pattern: re.Pattern[bytes], data: bytes) -> list[re.Match[bytes]]:
    return list(pattern.finditer(data))


def _replaced(pattern: re.Pattern[bytes], group: int, data: bytes, rng: Random, new: bytes) -> bytes:
    found = _found(pattern, data)
    if not found:
        return data
    chosen = rng.choice(found)
    return data[: chosen.start(group)] + new + data[chosen.end(group) :]
