"""A warehouse: an application with PostgreSQL (SQLAlchemy, migrations), Redis and an HTTP dependency.

Run as `python -m tests.e2e.warehouse PORT`, with DATABASE_URL, REDIS_URL and TARIFFS_URL. It migrates its
schema, and says `listening`.
"""

import datetime as dt
import json
import os
import sys
import urllib.request
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import redis
from sqlalchemy import JSON, DateTime, ForeignKey, Numeric, create_engine, func, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

MIGRATIONS = (
    """CREATE TABLE articles (
        id serial PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(10, 2) NOT NULL,
        grams integer NOT NULL, tags json NOT NULL DEFAULT '[]')""",
    """CREATE TABLE orders (
        id serial PRIMARY KEY, country text NOT NULL, postage numeric(10, 2),
        placed timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE lines (
        id serial PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id),
        article_id integer NOT NULL REFERENCES articles (id), amount integer NOT NULL CHECK (amount > 0))""",
    """INSERT INTO articles (name, price, grams, tags)
        VALUES ('tea', 4.20, 100, '["green"]'), ('pot', 31.00, 900, '[]')""",
)


class Base(DeclarativeBase):
    """All tables."""


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    grams: Mapped[int]
    tags: Mapped[list[str]] = mapped_column(JSON)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    country: Mapped[str]
    postage: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    placed: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    lines: Mapped[list["Line"]] = relationship(order_by="Line.id")


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"))
    amount: Mapped[int]
    article: Mapped[Article] = relationship()


engine = create_engine(os.environ["DATABASE_URL"], pool_size=3)
cache = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def migrate() -> None:
    """Bring the schema to its newest version, one step after the other."""
    with engine.begin() as db:
        if not inspect(db).has_table("version"):
            db.execute(text("CREATE TABLE version (number integer NOT NULL)"))
            db.execute(text("INSERT INTO version VALUES (0)"))
    for number, step in enumerate(MIGRATIONS, 1):
        with engine.begin() as db:
            if db.scalar(text("SELECT number FROM version FOR UPDATE")) < number:
                db.exec_driver_sql(step)
                db.execute(text("UPDATE version SET number = :number"), {"number": number})


def tariff(country: str, grams: int) -> Decimal | None:
    """What postage costs; None to where nothing is sent. Remembered."""
    key = f"tariff:{country}:{grams}"
    known = cache.get(key)
    if known is not None:
        return Decimal(str(known)) if known else None
    url = f"{os.environ['TARIFFS_URL']}/tariffs/{country}?grams={grams}"
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            cents = json.load(reply)["cents"]
    except HTTPError:
        cents = None
    cache.set(key, "" if cents is None else str(Decimal(cents) / 100), ex=3600)
    return None if cents is None else Decimal(cents) / 100


def articles(db: Session) -> list[dict[str, Any]]:
    """What there is, and how often each was looked at."""
    found = db.scalars(select(Article).order_by(Article.name)).all()
    with cache.pipeline(transaction=True) as pipe:
        for one in found:
            pipe.hincrby("views", one.name, 1)
        views = pipe.execute()
    return [
        {"name": one.name, "price": str(one.price), "tags": one.tags, "views": seen}
        for one, seen in zip(found, views, strict=True)
    ]


def place(db: Session, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Order some articles; all of it, or nothing."""
    order = Order(country=asked["country"])
    db.add(order)
    grams = 0
    for name, amount in asked["lines"].items():
        article = db.scalars(select(Article).where(Article.name == name)).one_or_none()
        if article is None:
            db.rollback()
            return 404, {"error": f"no article {name}"}
        grams += article.grams * amount
        order.lines.append(Line(article=article, amount=amount))
    order.postage = tariff(asked["country"], grams)
    try:
        db.commit()
    except IntegrityError as error:
        db.rollback()
        return 409, {"error": str(error.orig).splitlines()[0]}
    cache.zincrby("countries", 1, order.country)
    cache.lpush("latest", order.id)
    cache.ltrim("latest", 0, 9)
    return 201, shown(order)


def shown(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "country": order.country,
        "postage": None if order.postage is None else str(order.postage),
        "placed": order.placed.astimezone(dt.UTC).isoformat(),
        "lines": [{"article": line.article.name, "amount": line.amount} for line in order.lines],
    }


def report(db: Session) -> dict[str, Any]:
    """Sums by country, and what the cache counts."""
    value = func.sum(Line.amount * Article.price)
    rows = db.execute(
        select(Order.country, func.count(Order.id.distinct()), value, func.avg(Line.amount))
        .join(Line, Line.order_id == Order.id)
        .join(Article, Article.id == Line.article_id)
        .group_by(Order.country)
        .order_by(Order.country)
    )
    return {
        "sums": [[country, count, str(total), str(mean)] for country, count, total, mean in rows],
        "countries": cache.zrange("countries", 0, -1, withscores=True),
        "latest": cache.lrange("latest", 0, -1),
    }


class Warehouse(BaseHTTPRequestHandler):
    """The application's own API."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with Session(engine) as db:
            if self.path == "/articles":
                self.tell(200, articles(db))
            elif self.path == "/report":
                self.tell(200, report(db))
            else:
                number = int(self.path.rpartition("/")[2])
                load = selectinload(Order.lines).selectinload(Line.article)
                order = db.scalars(select(Order).where(Order.id == number).options(load)).one_or_none()
                self.tell(404 if order is None else 200, None if order is None else shown(order))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Session(engine) as db:
            self.tell(*place(db, asked))

    def tell(self, status: int, what: Any) -> None:
        body = json.dumps(what, sort_keys=True).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    migrate()
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Warehouse) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        server.serve_forever()
