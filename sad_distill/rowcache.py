"""Tensors of supervised rows on disk, found by what they were computed from.

A cache is a folder with `cache.json`, which says what made it, and shards of memory-mapped
safetensors. An entry is one sequence: its key is the SHA-256 of the sequence's token ids and of the
positions of its supervised rows. So packing, order and batch size may change between epochs and
runs; changed text, tokenisation or span definitions are other keys and are never answered with old
rows. A cache of another teacher, tokenizer or content is refused, with the names of what differs.

Shards appear under their name only when complete; what a killed run had not flushed is computed
again. Several processes may write to one folder.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import HarnessError

SHARD_BYTES = 64 * 2**20
"""Size at which entries waiting in memory are written."""


@dataclass(frozen=True)
class CacheKey:
    """What every entry of a cache depends on.

    Attributes:
        teacher: digest of the teacher's weights.
        tokenizer: digest of the tokenizer.
        content: what is stored, with its settings, as `hidden bfloat16` or `top-k 32 float32 t=1`.
    """

    teacher: str
    tokenizer: str
    content: str


def sequence_key(token_ids: Tensor, rows: Tensor) -> str:
    """Key of a sequence: `token_ids` [length], and `rows`, positions within it."""
    digest = sha256()
    for part in (token_ids, rows):
        values = part.to("cpu", torch.int64).contiguous()
        digest.update(len(values).to_bytes(8, "little"))
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


class RowCache:
    """The cache in a folder, made when it is not there.

    Args:
        folder: where it is.
        key: what its entries depend on; None to take whatever is there (`CacheKey` as stored).

    Raises:
        HarnessError: it was made with another key, or `key` is None and there is no cache.
    """

    def __init__(self, folder: Path, key: CacheKey | None = None) -> None:
        self.folder = folder
        self.key = self._agree(key)
        self._where: dict[str, tuple[Any, int, int]] = {}
        self._waiting: dict[str, dict[str, Tensor]] = {}
        self._bytes = 0
        for shard in sorted(folder.glob("rows-*.safetensors")):
            self._add(shard)

    def __len__(self) -> int:
        return len(self._where) + len(self._waiting)

    def __contains__(self, key: str) -> bool:
        return key in self._where or key in self._waiting

    def get(self, key: str) -> dict[str, Tensor]:
        """The tensors [rows, ...] of a sequence; raises `KeyError` when it is not there."""
        if key in self._waiting:
            return self._waiting[key]
        shard, start, end = self._where[key]
        names = [name for name in shard.keys() if name not in ("keys", "ends")]  # noqa: SIM118
        return {name: shard.get_slice(name)[start:end] for name in names}

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Remember the tensors [rows, ...] of a sequence."""
        if key in self:
            return
        held = {name: tensor.to("cpu").contiguous() for name, tensor in tensors.items()}
        self._waiting[key] = held
        self._bytes += sum(tensor.nbytes for tensor in held.values())
        if self._bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits in memory."""
        if not self._waiting:
            return
        entries = list(self._waiting.values())
        shard = {name: torch.cat([entry[name] for entry in entries]) for name in entries[0]}
        counts = [len(next(iter(entry.values()))) for entry in entries]
        digests = b"".join(bytes.fromhex(key) for key in self._waiting)
        shard["keys"] = torch.frombuffer(bytearray(digests), dtype=torch.uint8).view(-1, 32)
        shard["ends"] = torch.tensor(counts).cumsum(0)
        name = f"rows-{uuid.uuid4().hex}.safetensors"
        save_file(shard, self.folder / f".{name}")
        os.replace(self.folder / f".{name}", self.folder / name)
        self._waiting.clear()
        self._bytes = 0
        self._add(self.folder / name)

    def _add(self, path: Path) -> None:
        shard: Any = safe_open(path, framework="pt")
        ends = shard.get_tensor("ends").tolist()
        keys = [bytes(key).hex() for key in shard.get_tensor("keys").numpy()]
        for key, start, end in zip(keys, [0, *ends], ends, strict=False):
            self._where[key] = (shard, start, end)

    def _agree(self, key: CacheKey | None) -> CacheKey:
        path = self.folder / "cache.json"
        if not path.exists():
            if key is None:
                raise HarnessError(f"there is no cache of teacher rows in {self.folder}")
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = self.folder / f".cache-{uuid.uuid4().hex}.json"
            draft.write_text(json.dumps(asdict(key), indent=2) + "\n")
            os.replace(draft, path)
            return key
        try:
            found = CacheKey(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise HarnessError(f"{path} does not describe a cache: {error}") from error
        if key is not None and found != key:
            theirs, ours = asdict(found), asdict(key)
            differ = "; ".join(
                f"{name} is {theirs[name]}, expected {ours[name]}"
                for name in ours
                if ours[name] != theirs[name]
            )
            raise HarnessError(
                f"the cache in {self.folder} was made for something else: {differ}; "
                "choose another folder, or delete this one"
            )
        return found
