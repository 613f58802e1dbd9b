"""Independent random streams, one per purpose, all derived from a run's seed."""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator that depends on `seed` and `purpose` alone.

    Every weight matrix, the order of the data and every dropout layer draw from a stream of their own,
    so that two runs that differ in one choice share all the random numbers that both of them use.
    """
    text = "/".join(map(str, (seed, *purpose)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
