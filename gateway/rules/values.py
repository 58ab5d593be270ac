"""The values that rules compute with: JSON values, and one more that says "can't be known".

What may be done with them is `gateway.rules.functions`' and the compiler's affair.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NoReturn, TypeAlias, final


@final
class Unknown:
    """The third truth value, and the value of everything that is missing or of the wrong type.

    There is one instance, `UNKNOWN`; compare with `is`. It has no truth, so that a forgotten check
    fails at once instead of reading it as false.
    """

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("UNKNOWN is neither true nor false; compare with `is UNKNOWN`")

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __reduce__(self) -> str:
        # Copies and unpickled values must stay the one instance.
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

# A JSON value or UNKNOWN. `Any`, not a recursive union: each reader checks what it needs.
Value: TypeAlias = Any
Kind: TypeAlias = Literal["bool", "number", "string", "list", "null", "any"]

INTEGER_MAX: Final = (1 << 63) - 1
STRING_CHARS_MAX: Final = 65_536
LIST_ITEMS_MAX: Final = 1_000
