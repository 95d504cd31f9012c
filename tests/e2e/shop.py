"""A small shop as a real service: login, sessions in cookies, carts, a checkout that redirects, events.

Run as `python shop.py PORT`. State is in memory and each user has their own.
"""

import asyncio
import gzip
import itertools
import json
import secrets
import sys

from aiohttp import web

GAP = 0.05
"""Seconds between two events of an order."""
STATES = ("received", "packed", "sent", "delivered")

sessions: dict[str, str] = {}
carts: dict[str, list[dict[str, object]]] = {}
orders: dict[int, str] = {}
numbers = itertools.count(1000)
routes = web.RouteTableDef()


def user_of(request: web.Request) -> str:
    user = sessions.get(request.cookies.get("sid", ""))
    if user is None:
        raise web.HTTPUnauthorized(text="log in first")
    return user


@routes.post("/login")
async def login(request: web.Request) -> web.Response:
    form = await request.post()
    if form["password"] != f"pass-word-of-{form['user']}":
        return web.json_response({"error": "wrong password"}, status=403)
    sid, csrf = secrets.token_urlsafe(24), secrets.token_hex(16)
    sessions[sid] = str(form["user"])
    reply = web.json_response({"user": form["user"], "csrf_token": csrf})
    reply.set_cookie("sid", sid, httponly=True, samesite="Lax")
    reply.set_cookie("theme", "dark-and-plain")
    return reply


@routes.get("/products")
async def products(request: web.Request) -> web.Response:
    if request.headers.get("If-None-Match") == '"v1"':
        return web.Response(status=304, headers={"ETag": '"v1"'})
    page = int(request.query.get("page", "1"))
    listed = [
        {"id": n, "name": f"Thing \u2116 {n}", "price": n * 1.25} for n in range(page * 100, page * 100 + 60)
    ]
    text = json.dumps({"page": page, "products": listed}, ensure_ascii=False).encode()
    headers = {"ETag": '"v1"', "Content-Encoding": "gzip", "Content-Type": "application/json"}
    return web.Response(body=gzip.compress(text, 6), headers=headers)


@routes.get("/cart")
async def cart(request: web.Request) -> web.Response:
    return web.json_response({"items": carts.get(user_of(request), [])})


@routes.post("/cart")
async def add(request: web.Request) -> web.Response:
    user = user_of(request)
    item = await request.json()
    carts.setdefault(user, []).append(item)
    return web.json_response({"added": item, "count": len(carts[user])}, status=201)


@routes.delete("/cart/{item}")
async def remove(request: web.Request) -> web.Response:
    carts[user_of(request)] = [
        item for item in carts[user_of(request)] if item["id"] != int(request.match_info["item"])
    ]
    return web.Response(status=204)


@routes.post("/checkout")
async def checkout(request: web.Request) -> web.Response:
    user = user_of(request)
    order = next(numbers)
    orders[order] = user
    carts[user] = []
    raise web.HTTPSeeOther(f"http://{request.host}/orders/{order}")


@routes.get("/orders/{order}")
async def order(request: web.Request) -> web.Response:
    number = int(request.match_info["order"])
    return web.json_response({"order": number, "of": orders[number], "seen_by": user_of(request)})


@routes.get("/orders/{order}/events")
async def events(request: web.Request) -> web.StreamResponse:
    number = int(request.match_info["order"])
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await reply.prepare(request)
    for count, state in enumerate(STATES):
        await reply.write(f"id: {count}\ndata: {json.dumps({'order': number, 'state': state})}\n\n".encode())
        await asyncio.sleep(GAP)
    return reply


@routes.post("/avatar")
async def avatar(request: web.Request) -> web.Response:
    size = 0
    async for part in await request.multipart():
        size += len(await part.read())
    return web.Response(text=f"{user_of(request)}: {size} bytes\n")


if __name__ == "__main__":
    shop = web.Application(client_max_size=1 << 22)
    shop.add_routes(routes)
    web.run_app(shop, host="127.0.0.1", port=int(sys.argv[1]), print=None)
