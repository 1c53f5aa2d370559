"""The small JSON file that says what a folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splatworld.core.checks import FormatError, InputError


def read_document(file: Path, *, format: str, schema: int, needs: tuple[str, ...], again: str) -> dict[str, Any]:
    """Read and check it.

    Args:
        file: the JSON file.
        format: its entry "format".
        schema: its entry "schema", the only one that is read.
        needs: other entries that it must have.
        again: how to make such a folder, for messages.

    Raises:
        InputError: there is no such file.
        FormatError: it is damaged, something else, or of another schema.
    """
    if not file.is_file():
        raise InputError(f"{file.parent}: there is no {file.name}; {again}.")
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise FormatError(f"{file}: damaged, not JSON; {again} anew.") from error
    known = isinstance(document, dict) and document.get("format") == format
    if not known or any(name not in document for name in needs):
        raise FormatError(f"{file}: damaged, not what splatworld writes; {again} anew.")
    if document.get("schema") != schema:
        raise FormatError(
            f"{file}: written in schema {document.get('schema')}, but this version of splatworld reads schema "
            f"{schema}; update splatworld."
        )
    return document
