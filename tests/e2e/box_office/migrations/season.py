"""What a show is like, no seat sold twice; and the shows of a season."""

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db import migrations, models

OPENS = dt.datetime(2026, 3, 28, 22, 30, tzinfo=dt.UTC)
SHOWS = [
    ("Tosca", "81.50", 400, {"genre": "opera", "acts": [1, 2, 3], "director": None}),
    ("Fidelio", "49.00", 380, {"genre": "opera", "acts": [1, 2]}),
    ('"Macbeth"', "12.25", 90, {"genre": "play", "acts": []}),
]


def open_season(apps: Any, _: Any) -> None:
    show = apps.get_model("box_office", "Show")
    show.objects.bulk_create(
        show(
            title=title,
            price=Decimal(price),
            seats=seats,
            details=details,
            opens=OPENS + dt.timedelta(hours=at),
        )
        for at, (title, price, seats, details) in enumerate(SHOWS)
    )


class Migration(migrations.Migration):
    dependencies = (("box_office", "schema"),)
    operations = (
        migrations.AddField("Show", "details", models.JSONField(default=dict)),
        migrations.AddConstraint(
            "Ticket", models.UniqueConstraint(fields=["show", "seat"], name="a_seat_is_sold_once")
        ),
        migrations.RunPython(open_season),
    )
