"""The second oracle: what a ledger's bill must be, from nothing but an exported file.

    spillway ledger export > ledger.ndjson
    python3 billing_oracle.py ledger.ndjson [--now MS] [--from MS] [--to MS]

Shares no code and no algorithm with Spillway: src/billing cuts each interval into slices and adds those up; here one
sweep over every instant at which anything changes keeps what is held and what it costs, and adds up as it goes. Fractions
of whole numbers, no floats. Standard library only. docs/reference/ledger-export.md has the rules.

Prints JSON: what is wrong with the file, the intervals, and the lines of the bill. Exit code 3: something is wrong.
"""

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from datetime import datetime, timezone
from fractions import Fraction

HOUR_MS = 3_600_000
GENESIS = "0" * 64
HASHED = ("seq", "id", "clusterUid", "podUid", "incarnation", "atMs", "observedMs", "source", "body")
# Per unit of a price: how many of milli-cores, MiB or GPUs one is, and how many milliseconds.
UNITS = {
    "Core-Seconds": ("cpu", 1000, 1000),
    "Core-Hours": ("cpu", 1000, HOUR_MS),
    "GiB-Seconds": ("memory", 1024, 1000),
    "GiB-Hours": ("memory", 1024, HOUR_MS),
    "GPU-Seconds": ("gpu", 1, 1000),
    "GPU-Hours": ("gpu", 1, HOUR_MS),
}
FIELDS = {"cpu": "cpuMillis", "memory": "memoryMiB", "gpu": "gpus"}
CONFIDENCES = ("estimated", "recorded", "exact")


def read_export(lines, problems):
    """Events by Pod and books by id; what is wrong with the file goes to `problems`."""
    pods, books, ids = defaultdict(list), {}, set()
    seq, head, ended = 0, GENESIS, None
    for number, text in enumerate(lines, 1):
        record = json.loads(text)
        kind = record["type"]
        if number == 1 and (kind != "ledger" or record["format"] != "spillway-ledger-export/1"):
            raise SystemExit(f"line 1: found {text.strip()}; allowed: the header of spillway-ledger-export/1")
        if kind == "priceBook":
            books[record["book"]["id"]] = record["book"]
        elif kind == "end":
            ended = record
        elif kind == "event":
            seq += 1
            if record["seq"] != seq:
                problems.append(f"event {seq} is missing: found {record['seq']}")
                seq = record["seq"]
            if record["prevHash"] != head:
                problems.append(f"event {seq} does not follow the one before it")
            if chain_hash(record) != record["hash"]:
                problems.append(f"event {seq} was changed")
            fact = json.loads(record["body"])
            if fact["kind"] != record["kind"]:
                problems.append(f"event {seq} says {record['kind']} outside and {fact['kind']} inside")
            if record["id"] != event_id(record, fact):
                problems.append(f"event {seq} has an id that is not made from what it says")
            if record["id"] in ids:
                problems.append(f"event {seq} is there twice")
            ids.add(record["id"])
            head = record["hash"]
            pods[record["podUid"]].append((record, fact))
    if ended is None:
        problems.append("the file was cut off: it has no line of type end")
    elif ended["events"] != seq or ended["headHash"] != head:
        problems.append("the end does not fit what is before it")
    return pods, books, seq, head


def length_prefixed(parts):
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(str(len(raw)).encode() + b":" + raw)
    return digest.hexdigest()


def chain_hash(record):
    return length_prefixed([record["prevHash"]] + [str(record[name]) for name in HASHED])


def event_id(record, fact):
    ordinal = {
        "RESIZING": lambda: str(fact["generation"]),
        "RESIZED": lambda: str(fact["generation"]),
        "OBSERVED": lambda: str(fact["bucket"]),
        "CLOSED": lambda: fact["confidence"],
        "VOIDED": lambda: str(fact.get("generation", "")),
        "ADJUSTED": lambda: fact["reference"],
    }.get(fact["kind"], lambda: "")()
    return length_prefixed(
        [record["clusterUid"], record["podUid"], str(record["incarnation"]), fact["kind"], ordinal]
    )


def intervals_of(uid, events):
    """The times of one Pod's sandboxes."""
    of_kind = defaultdict(list)
    for record, fact in events:
        of_kind[fact["kind"]].append((record, fact))
    opened = sorted(of_kind["OPENED"], key=lambda pair: pair[0]["incarnation"])
    found = []
    for index, (record, fact) in enumerate(opened):
        number, start = record["incarnation"], record["atMs"]
        next_start = opened[index + 1][0]["atMs"] if index + 1 < len(opened) else None
        seen = [r["atMs"] for r, _ in of_kind["OBSERVED"] if r["incarnation"] == number]
        ends = [(CONFIDENCES.index(f["confidence"]), r["atMs"]) for r, f in of_kind["CLOSED"] if r["incarnation"] == number]
        if ends:
            rank, end = max(ends)
            known = CONFIDENCES[rank]
        elif next_start is not None:
            end, known = max([start] + seen), "estimated"
        else:
            end, known = None, "open"
        if end is not None:
            if next_start is not None:
                end = min(end, max(start, next_start))
            end = max(start, end)
        found.append({"podUid": uid, "incarnation": number, "start": start, "end": end, "endKnown": known})
    return found


def sizes_of(events):
    """[(instant, spec)] of one Pod, the first from for ever; and the book. None without an INTENT."""
    intents = [fact for _, fact in events if fact["kind"] == "INTENT"]
    if not intents:
        return None, None
    asked, done = {}, {}
    given_up = {fact.get("generation") for _, fact in events if fact["kind"] == "VOIDED"}
    for record, fact in events:
        target = {"RESIZING": asked, "RESIZED": done}.get(fact["kind"])
        if target is not None:
            key = fact["generation"]
            mine = (record["atMs"], record["id"], fact)
            if key not in target or mine[:2] < target[key][:2]:
                target[key] = mine
    sizes = [(float("-inf"), intents[0]["terms"]["spec"])]
    for generation in sorted(asked):
        if generation not in done:
            continue
        before_at, before = sizes[-1]
        spec = asked[generation][2]["terms"]["spec"]
        gives_back = any(int(spec[name]) < int(before[name]) for name in FIELDS.values())
        late = gives_back or generation in given_up
        counts = done[generation][0] if late else min(asked[generation][0], done[generation][0])
        sizes.append((max(counts, before_at), spec))
    return sizes, intents[0]["terms"]["priceBook"]


def millis(text, otherwise):
    if text is None:
        return otherwise
    moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    whole = moment.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (whole.days * 86_400 + whole.seconds) * 1000 + whole.microseconds // 1000


def prices_of(book):
    """[(resource, from, to, price per milli-core·ms, MiB·ms or GPU·ms, sku)], in the book's order."""
    lo, hi = millis(book.get("validFrom"), float("-inf")), millis(book.get("validTo"), float("inf"))
    found = []
    for price in book["prices"]:
        resource, per_unit, per_ms = UNITS[price["unit"]]
        since = max(lo, millis(price.get("validFrom"), float("-inf")))
        until = min(hi, millis(price.get("validTo"), float("inf")))
        found.append((resource, since, until, Fraction(price["price"]) / per_unit / per_ms, price["sku"]))
    return found


def billed_end(interval, book, now):
    start = interval["start"]
    ran = max(now if interval["end"] is None else interval["end"], start) - start
    if book["secondRounding"] == "up":
        ran = -(-ran // 1000) * 1000
    return start + max(ran, book["minimumSeconds"] * 1000)


def sweep(interval, sizes, book, window):
    """{(sku, resource, hour): exact} of one interval: walks from change to change."""
    ended = float("inf") if interval["end"] is None else interval["end"]
    # What is given at the end or after it was not held: time that is billed beyond the end is at the size of before.
    sizes = [(at, spec) for at, spec in sizes if at <= interval["start"] or at < ended]
    since = max(interval["start"], window["from"])
    until = min(billed_end(interval, book, window["now"]), window["to"])
    prices = prices_of(book)
    changes = {at for at, _ in sizes} | {edge for _, lo, hi, _, _ in prices for edge in (lo, hi)}
    pending = sorted(at for at in changes if since < at < until)
    pending.append(until)
    sums, at = {}, since
    while at < until:
        hour = at - at % HOUR_MS
        nearest = min(pending[0], hour + HOUR_MS)
        # A resize at the very start counts from the start; so does each later one from its own instant.
        held = [spec for moment, spec in sizes if moment <= at][-1]
        for resource, field in FIELDS.items():
            amount = int(held[field])
            if amount == 0:
                continue
            cost = next((p for p in prices if p[0] == resource and p[1] <= at < p[2]), None)
            key = (cost and cost[4], resource, hour)
            sums[key] = sums.get(key, Fraction(0)) + (cost[3] * amount * (nearest - at) if cost else 0)
        if nearest == pending[0]:
            pending.pop(0)
        at = nearest
    return sums


def rounded(exact, rule):
    """Nano-units, by the book's rule."""
    if "dropBelow" in rule and exact < Fraction(rule["dropBelow"]):
        return 0
    scaled = exact * 10 ** rule["scale"]
    sign, size = (-1, -scaled) if scaled < 0 else (1, scaled)
    whole, rest = divmod(size.numerator, size.denominator)
    half = Fraction(rest, size.denominator) - Fraction(1, 2)
    if half > 0 or (half == 0 and (rule["mode"] == "half_up" or whole % 2 == 1)):
        whole += 1
    return sign * whole * 10 ** (9 - rule["scale"])


def corrections(pods, window):
    """Nano-units by currency."""
    sums = defaultdict(int)
    for events in pods.values():
        for record, fact in events:
            if fact["kind"] == "ADJUSTED" and window["from"] <= record["atMs"] < window["to"]:
                sums[fact["currency"]] += rounded(Fraction(fact["amount"]), {"scale": 9, "mode": "half_even"})
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--now", type=int, default=2**53 - 1, help="open intervals are priced up to here")
    parser.add_argument("--from", dest="since", type=int, default=0, help="whole UTC hours, half-open")
    parser.add_argument("--to", dest="until", type=int, default=2**53 - 1)
    given = parser.parse_args()
    window = {"now": given.now, "from": given.since, "to": given.until}
    problems = []
    with open(given.file, encoding="utf-8") as lines:
        pods, books, count, head = read_export(lines, problems)
    totals = corrections(pods, window)
    intervals, bill = [], []
    for uid, events in pods.items():
        own = intervals_of(uid, events)
        for earlier, later in zip(own, own[1:]):
            if earlier["end"] > later["start"]:
                problems.append(f"Pod {uid}: sandboxes {earlier['incarnation']} and {later['incarnation']} overlap")
        intervals.extend(own)
        sizes, book_id = sizes_of(events)
        if sizes is None:
            continue
        if book_id not in books:
            problems.append(f"Pod {uid} is billed by {book_id}, which the file does not have")
            continue
        book = books[book_id]
        for interval in own:
            if interval["start"] > window["now"]:
                continue
            for (sku, resource, hour), exact in sweep(interval, sizes, book, window).items():
                nanos = rounded(exact, book["lineRounding"])
                totals[book["currency"]] += nanos
                bill.append(
                    {
                        "podUid": uid,
                        "incarnation": interval["incarnation"],
                        "sku": sku,
                        "resource": resource,
                        "hourMs": hour,
                        "exact": f"{exact.numerator}/{exact.denominator}",
                        "nanos": str(nanos),
                        "currency": book["currency"],
                    }
                )
    json.dump(
        {
            "events": count,
            "headHash": head,
            "problems": problems,
            "intervals": intervals,
            "lines": bill,
            "totals": {currency: str(nanos) for currency, nanos in sorted(totals.items())},
        },
        sys.stdout,
    )
    sys.stdout.write("\n")
    sys.exit(3 if problems else 0)


if __name__ == "__main__":
    main()
