"""Files that versions have in common are stored once: their names are links to one file.

A version stays a plain directory with all of its files, and nothing refers to another one. The file
system counts a file's names and frees it with the last, so that nothing is left to collect after a
removal or a kill. No stored file is ever changed in place. Where links cannot be made, each version
has a copy of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from diffrec_cli.errors import StorageError
from diffrec_cli.files import INCOMING_PREFIX, sha256_file
from diffrec_cli.paths import datasets_dir, is_name
from diffrec_cli.registry.artifact import DATA, Artifact
from diffrec_cli.registry.record import FileEntry, ModelRecord
from diffrec_cli.registry.references import all_keys, directory_of


class StoredFiles:
    """Stored files by the hash of their content, as their records say."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    @staticmethod
    def of_versions() -> StoredFiles:
        """Return the files of all versions; of equal ones those of the newest."""
        stored = StoredFiles()
        for key in sorted(all_keys(), key=lambda key: -key[1]):
            with suppress(StorageError):  # a damaged version
                artifact = Artifact.open(directory_of(key))
                stored.add(artifact.path, artifact.record.files)
        return stored

    def add(self, directory: Path, files: Mapping[str, FileEntry]) -> None:
        """Add the files of a directory that are not known yet."""
        for path, entry in files.items():
            self._paths.setdefault(entry.sha256, directory / path)

    def add_prepared(self, record: ModelRecord) -> None:
        """Add the files of a model's prepared dataset that may be those it copied."""
        name = record.dataset["dataset"]
        if not is_name(name):  # an imported record may say anything
            return
        for path, entry in record.files.items():
            prepared = datasets_dir() / name / Path(path).name
            with suppress(OSError):  # it is not there
                if Path(path).parent.name == DATA and prepared.stat().st_size == entry.bytes:
                    self._paths.setdefault(entry.sha256, prepared)

    def share(self, directory: Path, files: Mapping[str, FileEntry]) -> None:
        """Make links of a directory's files that are stored already, and add the others.

        Parameters
        ----------
        directory
            A directory that is being written: nobody reads it yet.
        files
            Its files, by their paths there.
        """
        for path, entry in files.items():
            if not self._linked(directory / path, entry):
                self._paths[entry.sha256] = directory / path

    def _linked(self, file: Path, entry: FileEntry) -> bool:
        """Put a link in the place of a file; tell whether there is an equal one to link to."""
        stored = self._paths.get(entry.sha256)
        if stored is None:
            return False
        link = file.with_name(f"{INCOMING_PREFIX}{file.name}")
        try:
            link.hardlink_to(stored)
            # Only now it is certain what was linked: it may be damaged, or just replaced.
            if link.is_symlink() or sha256_file(link) != entry.sha256:
                return False
            link.replace(file)
        except OSError:  # just removed, no links here, or too many of one file
            return False
        finally:
            link.unlink(missing_ok=True)
        return True
