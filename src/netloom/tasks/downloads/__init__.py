"""Public data, fetched once: resumed, verified, unpacked with care, offline afterwards."""

from .catalogue import CATALOGUE, RemoteData, RemoteFile, find_data
from .fetching import data_folder, fetch, is_fetched

__all__ = ["CATALOGUE", "RemoteData", "RemoteFile", "data_folder", "fetch", "find_data", "is_fetched"]
