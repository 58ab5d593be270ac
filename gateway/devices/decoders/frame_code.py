"""From the layout of a binary frame to one function that decodes it.

The function is written as Python text and compiled once. Names from a profile appear in it as
quoted text only; all else is made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import count, groupby
from struct import Struct, unpack_from
from types import FunctionType
from typing import Any

from gateway.devices.decoders.frame_layout import (
    ODD_INTEGERS,
    REST,
    SCALARS,
    SIZES,
    Condition,
    Order,
    Part,
)
from gateway.devices.decoders.limits import Decode, DecodeLimits, Undecodable

INDENT = "    "
SIGNS = {"little": "<", "big": ">"}
FLOATS = ("f16", "f32", "f64")


def frame_decoder(parts: Sequence[Part], limits: DecodeLimits) -> Decode:
    """Compile a layout; its function takes frames of exactly the length that they say they have."""
    writer = FrameWriter()
    writer.write("end = len(raw)")
    writer.write(f"if end > {limits.size_bytes_max}: check_size(raw)")
    writer.write("at = 0")
    writer.write("out = {}")
    writer.parts(parts, "out", {})
    writer.write("if at != end: raise too_long(at, end)")
    writer.write("return out")
    source = "def decode(raw):\n" + "\n".join(writer.lines)
    code = compile(source, "<frame layout>", "exec")
    (function_code,) = (item for item in code.co_consts if hasattr(item, "co_code"))
    built: Any = FunctionType(function_code, {**writer.constants, "check_size": limits.check_size})
    return built  # type: ignore[no-any-return]


class FrameWriter:
    """Writes the body of a decoding function, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {
            "INF": math.inf,
            "unpack_from": unpack_from,
            "odd_integers": odd_integers,
            "text_of": text_of,
            "finite_list": finite_list,
            "too_short": too_short,
            "too_long": too_long,
            "too_often": too_often,
            "never_ends": never_ends,
            "__builtins__": {"len": len, "list": list, "range": range},
        }
        self._depth = 1
        self._numbers = count()

    def write(self, line: str) -> None:
        """Add a line at the present depth."""
        self.lines.append(INDENT * self._depth + line)

    def parts(self, parts: Sequence[Part], out: str, names: dict[str, str]) -> None:
        """Decode parts into the dict `out`; `names` are the variables of what came before."""
        for is_fixed, neighbours in groupby(parts, key=lambda part: part.is_fixed):
            if is_fixed:
                for order, same in groupby(neighbours, key=lambda part: part.order):
                    self._fixed(list(same), order, out, names)
            else:
                for part in neighbours:
                    self._single(part, out, names)

    def _fresh(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers)}"

    def _constant(self, value: object) -> str:
        name = self._fresh("C")
        self.constants[name] = value
        return name

    def _need(self, size_bytes: int | str) -> None:
        self.write(f"if end - at < {size_bytes}: raise too_short(at, {size_bytes}, end)")

    def _fixed(self, parts: Sequence[Part], order: Order, out: str, names: dict[str, str]) -> None:
        """Read neighbours of known size at one stroke."""
        letters = (
            f"{part.count}x" if part.type == "skip" else SCALARS[part.type] for part in parts
        )
        form = Struct(SIGNS[order] + "".join(letters))
        read = [part for part in parts if part.type != "skip"]
        variables = [self._fresh("v") for _ in read]
        self._need(form.size)
        if variables:
            unpack = self._constant(form.unpack_from)
            self.write(f"{', '.join(variables)}, = {unpack}(raw, at)")
        self.write(f"at += {form.size}")
        for part, variable in zip(read, variables, strict=True):
            if part.type in FLOATS:
                self.write(f"if not -INF < {variable} < INF: {variable} = None")
            self._keep(part, variable, out, names)

    def _keep(self, part: Part, variable: str, out: str, names: dict[str, str]) -> None:
        if part.name:
            names[part.name] = variable
            self.write(f"{out}[{part.name!r}] = {variable}")
        for bits in part.bits:
            value = f"({variable} >> {bits.first}) & {bits.mask}"
            own = self._fresh("v")
            self.write(f"{own} = {value}" + (" != 0" if bits.first == bits.last else ""))
            names[bits.name] = own
            self.write(f"{out}[{bits.name!r}] = {own}")

    def _single(self, part: Part, out: str, names: dict[str, str]) -> None:
        """Read a part that may be missing, or whose size isn't known before."""
        if part.when is None:
            self._body(part, out, names)
            return
        for name in _names_of(part):
            variable = names[name] = self._fresh("w")
            self.write(f"{variable} = None")
        self.write(f"if {self._test(part.when, names)}:")
        self._depth += 1
        own = dict(names)
        self._body(part, out, own)
        for name in _names_of(part):
            self.write(f"{names[name]} = {own[name]}")
        self._depth -= 1

    def _test(self, condition: Condition, names: dict[str, str]) -> str:
        variable = names[condition.name]
        if not condition.values:
            return variable
        return f"{variable} in {self._constant(frozenset(condition.values))}"

    def _body(self, part: Part, out: str, names: dict[str, str]) -> None:
        if part.items:
            self._items(part, out, names)
        elif part.type in SIZES and part.count is None:
            self._scalar(part, out, names)
        elif part.type in SIZES:
            self._array(part, out, names)
        else:
            self._run(part, out, names)

    def _scalar(self, part: Part, out: str, names: dict[str, str]) -> None:
        if part.type not in ODD_INTEGERS:
            self._fixed([part], part.order, out, names)
            return
        self._need(SIZES[part.type])
        variable = self._fresh("v")
        self.write(f"{variable}, = {self._odd(part, '1')}")
        self.write(f"at += {SIZES[part.type]}")
        self._keep(part, variable, out, names)

    def _odd(self, part: Part, times: str) -> str:
        signed = ODD_INTEGERS[part.type]
        return f"odd_integers(raw, at, {times}, {part.order!r}, {signed})"

    def _times(self, part: Part, names: dict[str, str], size_bytes: int) -> str:
        """A variable that holds how often a part is repeated, checked against what is there."""
        times = self._fresh("n")
        if part.count == REST:
            self.write(f"{times} = (end - at) // {size_bytes}")
        elif isinstance(part.count, int):
            self.write(f"{times} = {part.count}")
        else:
            # A single bit is true or false; as a count it is 1 or 0.
            self.write(f"{times} = ({names[str(part.count)]} or 0) + 0")
            self.write(f"if {times} < 0: raise too_often({times}, at)")
        self._need(times if size_bytes == 1 else f"{times} * {size_bytes}")
        return times

    def _array(self, part: Part, out: str, names: dict[str, str]) -> None:
        size_bytes = SIZES[part.type]
        times = self._times(part, names, size_bytes)
        variable = self._fresh("v")
        if part.type in ODD_INTEGERS:
            self.write(f"{variable} = {self._odd(part, times)}")
        else:
            form = f"f'{SIGNS[part.order]}{{{times}}}{SCALARS[part.type]}'"
            read = f"unpack_from({form}, raw, at)"
            shaped = "finite_list" if part.type in FLOATS else "list"
            self.write(f"{variable} = {shaped}({read})")
        self.write(f"at += {times} * {size_bytes}")
        self._keep(part, variable, out, names)

    def _run(self, part: Part, out: str, names: dict[str, str]) -> None:
        times = self._times(part, names, 1)
        if part.type != "skip":
            variable = self._fresh("v")
            piece = f"raw[at:at + {times}]"
            read = f"text_of({piece}, at)" if part.type == "text" else f"{piece}.hex()"
            self.write(f"{variable} = {read}")
            self._keep(part, variable, out, names)
        self.write(f"at += {times}")

    def _items(self, part: Part, out: str, names: dict[str, str]) -> None:
        """Read groups of parts, each at least one byte, so that no count runs away."""
        found, item, before = self._fresh("l"), self._fresh("i"), self._fresh("b")
        self.write(f"{found} = []")
        if part.count == REST:
            self.write("while at < end:")
        else:
            self.write(f"for _ in range({self._times(part, names, 1)}):")
        self._depth += 1
        self.write(f"{before} = at")
        self.write(f"{item} = {{}}")
        self.parts(part.items, item, dict(names))
        self.write(f"if at == {before}: raise never_ends(at)")
        self.write(f"{found}.append({item})")
        self._depth -= 1
        self._keep(part, found, out, names)


def _names_of(part: Part) -> Iterator[str]:
    if part.name:
        yield part.name
    for bits in part.bits:
        yield bits.name


def odd_integers(raw: bytes, at: int, times: int, order: Order, signed: bool) -> list[int]:  # noqa: FBT001 - called by generated code only
    """Read integers of three bytes."""
    return [
        int.from_bytes(raw[start : start + 3], order, signed=signed)
        for start in range(at, at + 3 * times, 3)
    ]


def finite_list(numbers: tuple[float, ...]) -> list[float | None]:
    """The numbers, with null for those that JSON has no word for."""
    return [number if math.isfinite(number) else None for number in numbers]


def text_of(piece: bytes, at: int) -> str:
    """Text up to its end, or up to the zero bytes that fill it.

    Raises:
        Undecodable: it is not UTF-8.
    """
    try:
        return bytes(piece).rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise Undecodable(f"the text at byte {at} is not UTF-8") from None


def too_short(at: int, size_bytes: int, end: int) -> Undecodable:
    """The refusal of a frame that ends before a part of it."""
    return Undecodable(f"too short: {size_bytes} bytes are needed at byte {at} of {end}")


def too_long(at: int, end: int) -> Undecodable:
    """The refusal of a frame that goes on after its last part."""
    return Undecodable(f"too long: {end} bytes where {at} are laid out")


def too_often(times: int, at: int) -> Undecodable:
    """The refusal of a negative count."""
    return Undecodable(f"a count of {times} at byte {at}")


def never_ends(at: int) -> Undecodable:
    """The refusal of a group that takes no byte."""
    return Undecodable(f"a group without a byte at byte {at}")
