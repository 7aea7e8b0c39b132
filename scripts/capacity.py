#!/usr/bin/env python3
"""What a shop of some size needs, from what an order was measured to cost.

    scripts/capacity.py                       1,000, 10,000 and 100,000 orders a second
    scripts/capacity.py --rate 2500 --peak-hours 2 --lines 4
    scripts/capacity.py --paid 0.9 --carts 3 --views 40

The costs are those of docs/capacity.md, where it stands what they do not know, and of docs/performance.md
(Lines and connections; A database that fills). Prices are inputs: take those of your provider.
"""
import argparse
from typing import NamedTuple


class Measured(NamedTuple):
    """What an instance with two lanes was measured to do."""

    rate: float  # orders of one line a second
    batch: float  # of them in a transaction
    postgres: float  # microseconds of a core for each of them
    server: float


MEASURED = [
    Measured(500, 1.2, 1_136, 744),
    Measured(1_000, 2.1, 632, 440),
    Measured(2_000, 3.2, 344, 248),
    Measured(3_000, 6.2, 216, 207),
    Measured(4_000, 15.2, 157, 163),
    Measured(5_000, 27.8, 130, 141),
    Measured(10_790, 70, 67, 73),
    Measured(11_589, 169, 63, 74),
]
# Microseconds for each further line.
POSTGRES_LINE, SERVER_LINE = 18, 5


class Cost(NamedTuple):
    """What something else costs that a buyer asks for, with 256 at once."""

    server: float  # microseconds of a core
    postgres: float
    wal: float  # bytes
    kept: float  # bytes of tables and indexes
    redis: float  # commands
    trips: float  # round trips to PostgreSQL


# Beyond the order itself, if a provider charges it at once; a change of a cart; a product's page.
PAID = Cost(34, 126, 2_160, 500, 0.001, 0.042)
CART = Cost(103, 129, 3_433, 2_498, 0.002, 0.134)
VIEW = Cost(20, 1, 0, 0, 0, 0.001)
# Commands to Redis in a second of each instance for each product that is looked at there all the time,
# and microseconds of its core for each; at most as many for a single view.
REDIS_PRODUCT, REDIS_COMMAND = 4.45, 12.8
# Commands of an order itself, and round trips of its transaction.
REDIS, TRIPS = 0.001, 1.9
# Bytes for each order of one line, and for each further line.
WAL = (3_350, 770)
TABLES = (3_500, 470)
# Lanes of an instance, at least.
LANES = 2
# A core is planned to be this busy at the peak, so that p99 stays where it is.
BUSY = 0.6


def costs(rate):
    """Orders in a transaction, and seconds of a core of PostgreSQL and of the server for each, at this rate
    of an instance with two lanes: as between the two points that were measured beside it, if they share
    what a second costs whatever their number; beyond the outermost, as there."""
    rate = min(max(rate, MEASURED[0].rate), MEASURED[-1].rate)
    for few, many in zip(MEASURED, MEASURED[1:]):
        if rate <= many.rate:
            break
    share = (1 / rate - 1 / many.rate) / (1 / few.rate - 1 / many.rate)

    def between(few, many):
        return many + (few - many) * share

    batch = 1 / between(1 / few.batch, 1 / many.batch)
    return batch, between(few.postgres, many.postgres) / 1e6, between(few.server, many.server) / 1e6


def size(parts, more):
    order, line = parts
    return order + line * more


def besides(o):
    """What a buyer asks for besides the order itself, on average."""
    often = (PAID, o.paid), (CART, o.carts), (VIEW, o.views)
    return Cost(*(sum(what[part] * times for what, times in often) for part in range(len(PAID))))


def row(rate, o):
    more, beside = o.lines - 1, besides(o)
    postgres_line, server_line = (line * more / 1e6 for line in (POSTGRES_LINE, SERVER_LINE))
    instances, lanes = 2, LANES
    # More instances make smaller batches, which need more instances: it settles soon.
    for _ in range(100):
        batch, postgres, server = costs(rate / instances * LANES / lanes)
        orders = rate * (postgres + postgres_line) / BUSY
        postgres = orders + rate * beside.postgres / 1e6 / BUSY
        server = rate * (server + server_line + beside.server / 1e6) / BUSY
        instances = max(instances, -(-server // o.cores_per_instance))
        # A lane's backend runs one transaction at a time.
        lanes = max(lanes, -(-orders // instances))
    wal = rate * (size(WAL, more) + beside.wal) / 1e6
    orders_a_day = rate * 3_600 * o.peak_hours
    stored = orders_a_day * (size(TABLES, more) + beside.kept) / 1e9
    trips = rate * (TRIPS / batch + beside.trips)
    looked_at = min(o.products * instances, rate * o.views)
    commands = rate * (REDIS + beside.redis) + looked_at * REDIS_PRODUCT
    redis = commands * REDIS_COMMAND / 1e6 / BUSY
    # A primary and a synchronous standby hold and do the same.
    month = 730 * o.core_hour * (server + 2 * postgres + redis) + 30 * stored * 2 * o.gb_month
    return [
        f"{rate:,}", f"{batch:.0f}", f"{server:.1f}", f"{instances:.0f}", f"{postgres:.1f}",
        f"{lanes:.0f}", f"{rate / batch:,.0f}", f"{trips:,.0f}", f"{wal:,.1f}",
        f"{commands:,.0f}", f"{redis:.1f}", f"{stored:,.1f}", f"{month:,.0f}",
    ]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rate", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    p.add_argument("--peak-hours", type=float, default=1, help="hours a day at that rate, or their worth")
    p.add_argument("--lines", type=float, default=1, help="lines of an order, on average")
    p.add_argument("--paid", type=float, default=0, help="share of orders that a provider charges at once")
    p.add_argument("--carts", type=float, default=0, help="changes of carts for each order")
    p.add_argument("--views", type=float, default=0, help="products that are looked at for each order")
    p.add_argument("--products", type=int, default=1_000, help="products that these are of, within a second")
    p.add_argument("--cores-per-instance", type=int, default=4)
    p.add_argument("--core-hour", type=float, default=0.04, help="price of a core for an hour")
    p.add_argument("--gb-month", type=float, default=0.12, help="price of a GB of disk for a month")
    o = p.parse_args()
    header = [
        "orders/s", "orders in a transaction", "server, cores", "instances", "PostgreSQL, cores",
        "lanes of each", "flushes/s of orders", "round trips/s",
        "WAL, MB/s", "Redis, commands/s", "Redis, cores", "GB a day", "a month, in the prices' currency",
    ]
    print("| " + " | ".join(header) + " |")
    print("|" + "---:|" * len(header))
    for rate in o.rate:
        print("| " + " | ".join(row(rate, o)) + " |")


if __name__ == "__main__":
    main()
