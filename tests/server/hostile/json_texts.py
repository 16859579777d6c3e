"""JSON that a library would not write: values at the edges of types, depth, and no JSON at all."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

MARK = "@@here@@"

EXTREME = (
    "null", "true", "false", "0", "-0", "-0.0", "1.5", "-1", "1e999", "-1e999", "1e-999", "1e308",
    "3.5e38", "NaN", "Infinity", "-Infinity", "nan", "0x10", "1_000", "01", "+1", ".5", "1.",
    str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(-(2**63) - 1), str(2**64 - 1),
    str(2**64), "1" + "0" * 400, "9" * 5000, "0." + "0" * 400 + "1", '""', '"a"', '"1"',
    '"\\u0000"', '"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"', '"\ud7ff"',
    '"' + "a " * 20_000 + '"', '"' + "x" * 20_000 + '"', "[]", "{}", "[[]]", "[{}]", "[null]",
    "[[1],[2,3]]", "[1,[2]]", '[1,"a"]', "[1,true]", "[1,null]", "[[1,2,3,4],[1,2,3]]",
    "[[[[1,2,3,4]]]]", "[true,false]", '["a","b"]', '["a",1]', '{"a":1}', '{"b64":""}',
    '{"b64":"!!"}', '{"b64":"AAAA"}', '{"b64":1}', '{"x":1}', '{"":0}', "[" * 40 + "1" + "]" * 40,
    "[" * 600 + "]" * 600, "[" * 2000 + "]" * 2000, '{"a":' * 600 + "1" + "}" * 600, "[" * 50_000,
    "[" + "1," * 3000 + "1]", "[" + "[1,2,3,4]," * 500 + "[1,2,3,4]]", "[" + "[]," * 3000 + "[]]",
)  # fmt: skip
"""Texts of values; some are no JSON."""

LONG = ('"' + "word " * 200_000 + '"', '"' + "x" * 1_000_000 + '"')
"""Texts of 1 MB."""


def swapped(draw: random.Random, values: Sequence[Any]) -> bytes:
    """One of the values with up to three of its parts replaced, removed, doubled or renamed."""
    value = json.loads(json.dumps(draw.choice(values)))
    texts: list[str] = []
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        parts = list(_parts(value))
        if not parts:
            break
        holder, key = draw.choice(parts)
        match draw.randrange(6):
            case 0 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 1:
                del holder[key]
            case 2 if isinstance(holder, dict):
                holder[draw.choice((key + "x", key.upper(), "", "\0", "inputs"))] = holder[key]
            case _:
                texts.append(extreme(draw))
                holder[key] = MARK
    text = json.dumps(value)
    for replacement in texts:
        text = text.replace(f'"{MARK}"', replacement, 1)
    return text.encode("utf-8", "surrogatepass")


def extreme(draw: random.Random) -> str:
    """One text of a value; seldom a very long one."""
    return draw.choice(LONG) if draw.random() < 0.004 else draw.choice(EXTREME)


def grown(draw: random.Random, names: Sequence[str], depth: int = 0) -> str:
    """A value by the grammar, of few levels, with the names that mean something to the server."""
    kind = draw.randrange(3 + 4 * (depth < 4))
    if kind < 3:
        return extreme(draw)
    count = draw.randint(0, 4)
    if kind < 5:
        return "[" + ",".join(grown(draw, names, depth + 1) for _ in range(count)) + "]"
    items = (f"{json.dumps(draw.choice(names))}:{grown(draw, names, depth + 1)}"
             for _ in range(count))  # fmt: skip
    return "{" + ",".join(items) + "}"


def _parts(value: Any) -> Any:
    """Every place in a value: what holds it, and under which key."""
    items: Any = ()
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _parts(inner)
