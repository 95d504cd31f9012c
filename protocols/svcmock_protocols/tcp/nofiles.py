"""Options name no files: what they say is written out in them."""

from typing import Final

from svcmock.protocol import Blob, Files, Invalid


class _NoFiles:
    def __call__(self, name: str) -> Blob:
        raise Invalid((), f"expected text, {{hex: }} or {{base64: }}: no file is read here, not {name} either")

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), f"no file is read here: {blob.path}")


NO_FILES: Final[Files] = _NoFiles()
