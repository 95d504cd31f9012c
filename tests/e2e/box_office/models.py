"""Shows, and tickets for them."""

from django.db import models
from django.db.models.functions import Now


class Show(models.Model):
    title = models.CharField(max_length=80, unique=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    seats = models.PositiveIntegerField()
    details = models.JSONField(default=dict)
    opens = models.DateTimeField()


class Ticket(models.Model):
    show = models.ForeignKey(Show, models.CASCADE, related_name="tickets")
    seat = models.PositiveIntegerField()
    holder = models.CharField(max_length=80)
    sold = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["show", "seat"], name="a_seat_is_sold_once"),)
