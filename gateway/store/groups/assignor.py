"""Who of a group reads which partition: balanced within one, with as few moves as that allows.

It is a pure function; `gateway.store.groups.membership` decides when it is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from gateway.store.cursors import Key


def assign(
    members: Collection[str],
    partitions: Iterable[Key],
    owners: Mapping[Key, str],
    homes: Mapping[Key, str] | None = None,
) -> dict[Key, str]:
    """Give every partition to one member; empty when there are no members.

    A member keeps what it owns unless somebody else has too little. Of several partitions that
    could move to a member, those that are at home with it do.
    """
    if not members:
        return {}
    homes = homes or {}
    wanted = sorted(set(partitions))
    owned: dict[str, list[Key]] = {member: [] for member in sorted(members)}
    free = []
    for key in wanted:
        owner = owners.get(key, "")
        if owner in owned:
            owned[owner].append(key)
        else:
            free.append(key)
    quotas = choose_quotas(owned, len(wanted))
    for member, keys in owned.items():
        # What is at home here goes last.
        keys.sort(key=lambda key: homes.get(key) != member)
        excess = max(0, len(keys) - quotas[member])
        free += released(keys, excess, homes, owned, quotas)
    hand_out(free, owned, quotas, homes)
    return {key: member for member, keys in owned.items() for key in keys}


def choose_quotas(owned: Mapping[str, Collection[Key]], count: int) -> dict[str, int]:
    """How many partitions each member is to have; the odd ones go to who has most already."""
    share, odd = divmod(count, len(owned))
    by_size = sorted(owned, key=lambda member: (-len(owned[member]), member))
    return {member: share + (place < odd) for place, member in enumerate(by_size)}


def released(
    keys: list[Key],
    excess: int,
    homes: Mapping[Key, str],
    owned: Mapping[str, Collection[Key]],
    quotas: Mapping[str, int],
) -> list[Key]:
    """Take `excess` of `keys` away, first those whose home has room for them."""

    def is_missed(key: Key) -> bool:
        home = homes.get(key, "")
        return home in owned and len(owned[home]) < quotas[home]

    missed = [key for key in reversed(keys) if is_missed(key)]
    others = [key for key in reversed(keys) if not is_missed(key)]
    taken = (missed + others)[:excess]
    for key in taken:
        keys.remove(key)
    return taken


def hand_out(
    free: list[Key],
    owned: Mapping[str, list[Key]],
    quotas: Mapping[str, int],
    homes: Mapping[Key, str],
) -> None:
    """Fill every member up to its quota, with what is at home there first."""
    left = []
    for key in sorted(free):
        home = homes.get(key, "")
        if home in owned and len(owned[home]) < quotas[home]:
            owned[home].append(key)
        else:
            left.append(key)
    for member, keys in owned.items():
        room = quotas[member] - len(keys)
        keys += left[:room]
        del left[:room]
