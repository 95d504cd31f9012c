"""What the box office answers."""

import json
import os
import urllib.request
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Avg, Case, Count, F, Max, Q, Sum, Value, When
from django.db.models.functions import TruncDay, Upper
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.e2e.box_office.models import Show, Ticket


def shows(request: HttpRequest) -> JsonResponse:
    """All of a genre, with how many seats are left; remembered until a ticket is sold."""
    genre = request.GET["genre"]
    told = cache.get(f"shows:{genre}")
    if told is None:
        found = Show.objects.filter(details__genre=genre).annotate(
            sold=Count("tickets"), left=F("seats") - F("sold")
        )
        told = list(found.order_by("title").values("id", "title", "price", "opens", "details", "left"))
        cache.set(f"shows:{genre}", told, 60)
    return JsonResponse({"shows": told, "asked": cache.incr("asked")})


def sell(request: HttpRequest, number: int) -> JsonResponse:
    """Tickets for some seats: all of them, or none."""
    asked = json.loads(request.body)
    with transaction.atomic():
        show = Show.objects.select_for_update().filter(pk=number).first()
        if show is None:
            return JsonResponse({"error": "no such show"}, status=404)
        try:
            with transaction.atomic():
                Ticket.objects.bulk_create(
                    Ticket(show=show, seat=seat, holder=asked["holder"]) for seat in asked["seats"]
                )
        except IntegrityError as error:
            show.details["refused"] = show.details.get("refused", 0) + 1
            show.save(update_fields=["details"])
            return JsonResponse({"error": str(error).splitlines()[0]}, status=409)
        Show.objects.filter(pk=number).update(price=F("price") * Decimal("1.1"))
    cache.delete_many([f"shows:{show.details['genre']}", "report"])
    return JsonResponse({"seats": asked["seats"], "postage": postage(asked["country"])}, status=201)


def postage(country: str) -> int | None:
    """What it costs to send tickets; None to where nothing is sent."""

    def ask() -> int:
        url = f"http://127.0.0.1:{os.environ['TARIFFS_PORT']}/tariffs/{country}?grams=20"
        try:
            with urllib.request.urlopen(url, timeout=20) as reply:
                return int(json.load(reply)["cents"])
        except HTTPError:
            return -1

    cents = cache.get_or_set(f"postage:{country}", ask, 3600)
    return None if cents == -1 else cents


def tickets(request: HttpRequest) -> JsonResponse:
    """All of them, a few at a time, and when they were sold."""
    found = Ticket.objects.select_related("show").order_by("show__title", "seat")
    told = [[one.show.title, one.seat, one.holder, one.sold] for one in found.iterator(chunk_size=2)]
    return JsonResponse({"tickets": told})


def report(request: HttpRequest) -> JsonResponse:
    """Sums by day, as the box office's clock has it."""

    def count() -> list[dict[str, Any]]:
        dear = Case(When(price__gt=50, then=Value("dear")), default=Value("cheap"))
        return list(
            Show.objects.annotate(day=TruncDay("opens"), what=dear, loud=Upper("title"))
            .values("day", "what")
            .annotate(
                sold=Count("tickets", filter=~Q(tickets__holder="Eve")),
                mean=Avg("price"),
                worth=Sum("price"),
                last=Max("loud"),
            )
            .order_by("day", "what")
        )

    exists = Show.objects.filter(tickets__holder__icontains="ann").distinct().exists()
    return JsonResponse({"days": cache.get_or_set("report", count, 60), "ann": exists})


urlpatterns = [
    path("shows", shows),
    path("shows/<int:number>/tickets", sell),
    path("tickets", tickets),
    path("report", report),
]
