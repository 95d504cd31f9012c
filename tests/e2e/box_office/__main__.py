"""Run as `python -m tests.e2e.box_office`: migrates the schema, and prints what its own tests were told."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.e2e.box_office.settings"
django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

SALES: list[tuple[int, dict[str, Any]]] = [
    (1, {"holder": "Ann", "country": "de", "seats": [1, 2]}),
    (1, {"holder": "O'Neil ☃", "country": "xx", "seats": [3, 2]}),
    (1, {"holder": "O'Neil ☃", "country": "xx", "seats": [3]}),
    (2, {"holder": "Ann 100%", "country": "de", "seats": [7]}),
    (9, {"holder": "Eve", "country": "de", "seats": [1]}),
]


def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = Client().generic(method, path, json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def read(path: str) -> tuple[int, Any]:
    """In a thread, with a connection of its own."""
    try:
        return ask("GET", path)
    finally:
        connection.close()


def main() -> list[tuple[int, Any]]:
    call_command("migrate", verbosity=0)
    cache.set("asked", 0, None)
    told = [ask("GET", "/shows?genre=opera"), ask("GET", "/shows?genre=opera")]
    told += [ask("POST", f"/shows/{number}/tickets", sale) for number, sale in SALES]
    told += [ask("GET", path) for path in ("/shows?genre=opera", "/shows?genre=none", "/tickets", "/report")]
    with ThreadPoolExecutor(3) as pool:
        told += pool.map(read, ["/tickets", "/report"] * 3)
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
