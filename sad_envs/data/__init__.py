"""Where data comes from: a catalogue, a verified cache, mirrors."""

from sad_envs.data.cache import cache_folder
from sad_envs.data.entries import DataFile, Dataset, catalogue
from sad_envs.data.errors import DataError, DataMissing
from sad_envs.data.store import Progress, Verification, data_path, fetch, is_present, verify

__all__ = [
    "DataError",
    "DataFile",
    "DataMissing",
    "Dataset",
    "Progress",
    "Verification",
    "cache_folder",
    "catalogue",
    "data_path",
    "fetch",
    "is_present",
    "verify",
]
