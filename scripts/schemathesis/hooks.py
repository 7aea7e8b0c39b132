"""Credentials and things of the running shop for the requests that schemathesis makes."""

import os
import re
import uuid

import requests
import schemathesis

URL = os.environ["URL_1"]
ADMIN = {"Authorization": f"Bearer {os.environ['DOORBUSTER__ADMIN__SECRET_KEY']}"}
ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "country": "GB"}
PAYMENT = {"provider": "manual"}
ADDRESSES = "/v1/customers/me/addresses"


def post(path, body, headers=ADMIN):
    headers = {**headers, "Idempotency-Key": str(uuid.uuid4())}
    answer = requests.post(URL + path, json=body, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def bearer(session):
    return {"Authorization": f"Bearer {session}"}


def begin_session():
    return post("/v1/sessions", {}, {})["token"]


def product(sku, **more):
    price = [{"amount": 1299, "currency": currency} for currency in ("GBP", "EUR")]
    variants = [{"sku": sku, "prices": price}]
    return post("/v1/admin/products", {"title": "Enamel mug", "variants": variants, **more})


def item(session):
    cart = post("/v1/cart/items", {"sku": "MUG-1", "quantity": 1}, bearer(session))
    return cart["items"][0]["id"]


def order():
    items = [{"sku": "MUG-1", "quantity": 1}]
    body = {"items": items, "email": "ada@example.com", "shipping_address": ADDRESS}
    return post("/v1/orders", {**body, "payment": PAYMENT}, {})


def adjustment():
    body = {"sku": "MUG-1", "quantity": 100_000, "reason": "received"}
    return post("/v1/admin/stock/adjustments", body)


def fill(session):
    item(session)
    body = {"email": "ada@example.com", "shipping_address": ADDRESS}
    answer = requests.patch(URL + "/v1/cart", json=body, headers=bearer(session), timeout=10)
    answer.raise_for_status()


# What the document's examples name.
product("MUG-1", slug="enamel-mug")
post("/v1/admin/categories", {"title": "Kitchen", "slug": "kitchen"})
post("/v1/admin/collections", {"title": "Summer", "slug": "summer"})
adjustment()

MAKE = {
    "prod": lambda: product(str(uuid.uuid4()))["id"],
    "var": lambda: product(str(uuid.uuid4()))["variants"][0]["id"],
    "cat": lambda: post("/v1/admin/categories", {"title": "Pans"})["id"],
    "coll": lambda: post("/v1/admin/collections", {"title": "Winter"})["id"],
    "adj": lambda: adjustment()["id"],
}
# Ids begin with the time: those of this shop share their first letters, generated ones do not.
ERA = MAKE["adj"]().removeprefix("adj_")[:3]


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/admin/")
class Staff:
    def get(self, case, context):
        return ADMIN["Authorization"]

    def set(self, case, data, context):
        case.headers["Authorization"] = data


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/(cart|session$)").apply_to(
    path="/v1/orders", method="GET"
)
class Shopper:
    """A session for each request: one of them logs out, another one empties the cart."""

    def get(self, case, context):
        session = begin_session()
        if case.operation.path == "/v1/cart/checkout":
            fill(session)
        return session

    def set(self, case, data, context):
        case.headers.update(bearer(data))
        if "/items/{id}" in case.operation.path and is_generated(case, "item"):
            case.path_parameters["id"] = item(data)


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/customers/me")
class Customer:
    """A customer for each request: some of them log out everywhere."""

    def get(self, case, context):
        account = {"email": f"{uuid.uuid4()}@example.com", "password": "analytical engine"}
        post("/v1/customers", account, {})
        return requests.post(URL + "/v1/session/login", json=account, timeout=10).json()["token"]

    def set(self, case, data, context):
        case.headers.update(bearer(data))
        if "/addresses/{id}" in case.operation.path and is_generated(case, "addr"):
            case.path_parameters["id"] = post(ADDRESSES, {"address": ADDRESS}, bearer(data))["id"]


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/orders/{id}")
class Buyer:
    """Whoever holds the secret of an order that nobody has paid or cancelled yet."""

    def get(self, case, context):
        return order()

    def set(self, case, data, context):
        if is_generated(case, "ord"):
            case.path_parameters["id"] = data["id"]
            case.headers["X-Order-Token"] = data["access_token"]


def is_generated(case, kind):
    """Whether the path holds a well-formed id that is none of this shop."""
    found = re.fullmatch(f"{kind}_([0-9a-z]{{26}})", str(case.path_parameters.get("id")))
    return bool(found) and not found[1].startswith(ERA)


@schemathesis.hook
def before_call(context, case, kwargs):
    for kind, make in MAKE.items():
        if is_generated(case, kind):
            case.path_parameters["id"] = make()
    if case.operation.path == "/v1/admin/orders/{id}" and is_generated(case, "ord"):
        case.path_parameters["id"] = order()["id"]
    # A key that comes again is answered with what it once made, which may be gone by now.
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,255}", key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
