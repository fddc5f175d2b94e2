"""The store of an installation, as its settings name it."""

from pathlib import Path

from engine.errors import SettingsError
from engine.settings import Settings
from engine.store.database import file_of
from engine.uploads.folder import FolderStore
from engine.uploads.store import FileStore

BUCKET = "s3://"
"""How a setting begins that names a bucket."""


def open_store(settings: Settings) -> FileStore | None:
    """The store of the settings: a bucket, a folder, or without a word of them a folder beside a SQLite database. None:
    no files are kept. SettingsError where it cannot be used."""
    if settings.files.startswith(BUCKET):
        try:
            from engine.uploads.bucket import BucketStore
        except ImportError as error:
            raise SettingsError("files: a bucket needs the extra `s3`: pip install 'gridpatrol[s3]'") from error
        return BucketStore(settings.files, settings.files_endpoint)
    if settings.files:
        return FolderStore(Path(settings.files))
    database = file_of(settings.database)
    return FolderStore(database.with_suffix(".files")) if database is not None and not settings.kafka else None
