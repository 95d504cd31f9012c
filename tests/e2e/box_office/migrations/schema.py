"""Shows and tickets."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True
    operations = (
        migrations.CreateModel(
            "Show",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("title", models.CharField(max_length=80, unique=True)),
                ("price", models.DecimalField(decimal_places=2, max_digits=8)),
                ("seats", models.PositiveIntegerField()),
                ("opens", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            "Ticket",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("seat", models.PositiveIntegerField()),
                ("holder", models.CharField(max_length=80)),
                ("sold", models.DateTimeField(db_default=Now())),
                (
                    "show",
                    models.ForeignKey(
                        "box_office.Show", django.db.models.deletion.CASCADE, related_name="tickets"
                    ),
                ),
            ],
        ),
    )
