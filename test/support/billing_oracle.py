"""The second oracle: what a ledger's bill must be, from nothing but an exported file.

    spillway ledger export > ledger.ndjson
    python3 billing_oracle.py ledger.ndjson [--now MS] [--from MS] [--to MS]

Shares no code and no algorithm with Spillway: src/billing cuts each interval into slices and adds those up; here one
sweep over every instant at which anything changes keeps what is held and what it costs, and adds up as it goes. And where
src/billing keeps accounts of sandboxes apart when a sealed period is told more, here each seal is made anew from the events
that stood before it, and each correction held against the difference. Fractions of whole numbers, no floats. Standard
library only. docs/reference/ledger-export.md has the rules.

Prints JSON, a line for each file: what is wrong with it, the intervals, the lines of the bill, the seals. Exit code 3:
something is wrong.
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
EVER = 2**53 - 1
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
QUANTITIES = {"cpu": "cpuMilliMs", "memory": "memoryMiBMs", "gpu": "gpuMs"}
# What decides on a price besides the resource.
KINDS = ("purchase", "cpuType", "gpuModel")
CONFIDENCES = ("estimated", "recorded", "exact")
NANOS = {"scale": 9, "mode": "half_even"}


def read_export(lines, problems):
    """Events by Pod, books by id and the seals; what is wrong with the file goes to `problems`."""
    export = {"pods": defaultdict(list), "books": {}, "seals": [], "seq": 0, "head": GENESIS}
    ids, ended = set(), None
    for number, text in enumerate(lines, 1):
        record = json.loads(text)
        kind = record["type"]
        if number == 1 and (kind != "ledger" or record["format"] != "spillway-ledger-export/1"):
            raise SystemExit(f"line 1: found {text.strip()}; allowed: the header of spillway-ledger-export/1")
        if kind == "priceBook":
            export["books"][record["book"]["id"]] = record["book"]
        elif kind == "end":
            ended = record
        elif kind == "seal":
            read_seal(record, export, problems)
        elif kind == "event":
            read_event(record, export, ids, problems)
    last_seal = export["seals"][-1]["hash"] if export["seals"] else GENESIS
    if ended is None:
        problems.append("the file was cut off: it has no line of type end")
    elif ended["events"] != export["seq"] or ended["headHash"] != export["head"]:
        problems.append("the end does not fit what is before it")
    elif ended.get("seals", 0) != len(export["seals"]) or ended.get("sealHash", GENESIS) != last_seal:
        problems.append("the end does not fit the seals before it")
    return export


def read_event(record, export, ids, problems):
    export["seq"] += 1
    seq = export["seq"]
    if record["seq"] != seq:
        problems.append(f"event {seq} is missing: found {record['seq']}")
        seq = export["seq"] = record["seq"]
    if record["prevHash"] != export["head"]:
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
    export["head"] = record["hash"]
    export["pods"][record["podUid"]].append((record, fact))


def read_seal(record, export, problems):
    seals, number = export["seals"], record["number"]
    if number != len(seals) + 1:
        problems.append(f"seal {len(seals) + 1} is missing: found {number}")
    if record["prevHash"] != (seals[-1]["hash"] if seals else GENESIS):
        problems.append(f"seal {number} does not follow the one before it")
    if length_prefixed([record["prevHash"], record["body"]]) != record["hash"]:
        problems.append(f"seal {number} was changed")
    inside = json.loads(record["body"])
    draft, head = inside["draft"], inside["head"]
    if [number, record["period"], record["head"]] != [inside["number"], draft["period"], head]:
        problems.append(f"seal {number} says one thing outside and another inside")
    if head != {"seq": export["seq"], "hash": export["head"]}:
        problems.append(f"seal {number} was not made over the events before it")
    # What came too late for an empty time between two seals falls to the later one.
    since, until = seals[-1]["until"] if seals else 0, draft["period"]["toMs"]
    if draft["period"]["fromMs"] < since or until <= since or until % HOUR_MS != 0:
        problems.append(f"seal {number} is of a period that cannot be sealed")
    seals.append(
        {"number": number, "since": since, "until": until, "head": head["seq"], "draft": draft, "hash": record["hash"]}
    )


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
    """What each price is for, its instants, and what a milli-core·ms, MiB·ms or GPU·ms costs; in the book's order."""
    if "known" in book:
        return book["known"]
    lo, hi = millis(book.get("validFrom"), float("-inf")), millis(book.get("validTo"), float("inf"))
    book["known"] = []
    for price in book["prices"]:
        resource, per_unit, per_ms = UNITS[price["unit"]]
        book["known"].append(
            {
                "resource": resource,
                "since": max(lo, millis(price.get("validFrom"), float("-inf"))),
                "until": min(hi, millis(price.get("validTo"), float("inf"))),
                "rate": Fraction(price["price"]) / per_unit / per_ms,
                "sku": price["sku"],
                "kind": {name: price[name] for name in KINDS if name in price},
            }
        )
    return book["known"]


def price_of(prices, resource, at, spec):
    """Of those that hold, the one that says most of its kind; the first of equals."""
    best = None
    for price in prices:
        if price["resource"] != resource or not price["since"] <= at < price["until"]:
            continue
        if any(spec.get(name) != said for name, said in price["kind"].items()):
            continue
        if best is None or len(price["kind"]) > len(best["kind"]):
            best = price
    return best


def billed_end(interval, book, now):
    start = interval["start"]
    ran = max(now if interval["end"] is None else interval["end"], start) - start
    if book["secondRounding"] == "up":
        ran = -(-ran // 1000) * 1000
    return start + max(ran, book["minimumSeconds"] * 1000)


def sweep(interval, sizes, book, window):
    """{(hour, resource, sku): [exact, quantity]} of one interval: walks from change to change."""
    sums = {}
    if interval["end"] is None and interval["start"] > window["now"]:
        return sums
    ended = float("inf") if interval["end"] is None else interval["end"]
    # What is given at the end or after it was not held: time that is billed beyond the end is at the size of before.
    sizes = [(at, spec) for at, spec in sizes if at <= interval["start"] or at < ended]
    since = max(interval["start"], window["from"])
    until = min(billed_end(interval, book, window["now"]), window["to"])
    prices = prices_of(book)
    changes = {at for at, _ in sizes} | {price[edge] for price in prices for edge in ("since", "until")}
    pending = sorted(at for at in changes if since < at < until)
    pending.append(until)
    at = since
    while at < until:
        hour = at - at % HOUR_MS
        nearest = min(pending[0], hour + HOUR_MS)
        # A resize at the very start counts from the start; so does each later one from its own instant.
        held = [spec for moment, spec in sizes if moment <= at][-1]
        for resource, field in FIELDS.items():
            amount = int(held[field]) * (nearest - at)
            if amount == 0:
                continue
            price = price_of(prices, resource, at, held)
            line = sums.setdefault((hour, resource, price and price["sku"]), [Fraction(0), 0])
            line[0] += price["rate"] * amount if price else 0
            line[1] += amount
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


def round_hour(costs, book):
    """The lines of one sandbox and hour: each by itself, or, by a rule for small sums, the rounded sum given out again."""
    rule, total = book.get("hourRounding"), sum(costs)
    if rule is None or total >= Fraction(rule["below"]):
        return [rounded(cost, book["lineRounding"]) for cost in costs]
    if total == 0:
        return [0 for _ in costs]
    whole = rounded(total, {"scale": rule["scale"], "mode": rule["mode"]})
    shares = [whole * cost / total for cost in costs]
    shares = [share.numerator // share.denominator for share in shares]
    # What is left over goes to the largest, the first of equals.
    shares[shares.index(max(shares))] += whole - sum(shares)
    return shares


class Ledger:
    """What an export says of each Pod, as of any event of it."""

    def __init__(self, export, problems):
        self.pods, self.books, self.seals = export["pods"], export["books"], export["seals"]
        self.problems, self.known = problems, {}

    def as_of(self, uid, seq):
        """Its intervals, sizes and book, of what stood in the log up to there."""
        events = [pair for pair in self.pods[uid] if pair[0]["seq"] <= seq]
        key = (uid, len(events))
        if key not in self.known:
            sizes, book_id = sizes_of(events)
            if sizes is not None and book_id not in self.books:
                self.tell(f"Pod {uid} is billed by {book_id}, which the file does not have")
                sizes = None
            self.known[key] = intervals_of(uid, events), sizes, self.books.get(book_id)
        return self.known[key]

    def lines(self, uid, seq, window):
        """The lines of a Pod within whole hours, by sandbox, hour and resource."""
        intervals, sizes, book = self.as_of(uid, seq)
        for interval in intervals if sizes is not None else []:
            sums = sweep(interval, sizes, book, window)
            hours = defaultdict(list)
            for key in sums:
                hours[key[0]].append(key)
            for hour in sorted(hours):
                keys = sorted(hours[hour], key=lambda key: list(FIELDS).index(key[1]))
                amounts = round_hour([sums[key][0] for key in keys], book)
                for key, nanos in zip(keys, amounts):
                    exact, quantity = sums[key]
                    yield {
                        "podUid": uid,
                        "incarnation": interval["incarnation"],
                        "sku": key[2],
                        "resource": key[1],
                        "hourMs": hour,
                        "quantity": str(quantity),
                        "exact": f"{exact.numerator}/{exact.denominator}",
                        "nanos": str(nanos),
                        "currency": book["currency"],
                    }

    def adjustments(self, since, until):
        """Those that count within that time. One that is dated in a time that was sealed by then counts from its end."""
        for events in self.pods.values():
            for record, fact in events:
                if fact["kind"] != "ADJUSTED":
                    continue
                sealed = [seal["until"] for seal in self.seals if seal["head"] < record["seq"]]
                if since <= max([record["atMs"]] + sealed) < until:
                    yield record, fact

    def tell(self, problem):
        if problem not in self.problems:
            self.problems.append(problem)


def sealed_bill(ledger, seal):
    """What has to be in a seal: from the events before it alone. And the lines."""
    window = {"now": seal["until"], "from": seal["since"], "to": seal["until"]}
    digest, sums, lines = hashlib.sha256(), defaultdict(lambda: [0, 0]), []
    for uid in sorted(ledger.pods):
        for line in ledger.lines(uid, seal["head"], window):
            names = ("podUid", "incarnation", "hourMs", "resource", "sku", "quantity", "exact", "nanos", "currency")
            text = "\t".join("" if line[name] is None else str(line[name]) for name in names)
            digest.update(f"{text}\n".encode())
            sums[line["currency"]][0] += int(line["nanos"])
            lines.append(line)
    adjusted, count = hashlib.sha256(), 0
    # Those that came after the seal count after it.
    for record, fact in sorted(ledger.adjustments(seal["since"], seal["until"]), key=lambda pair: pair[0]["id"]):
        adjusted.update(f"{record['id']}\t{fact['amount']}\t{fact['currency']}\n".encode())
        sums[fact["currency"]][1] += rounded(Fraction(fact["amount"]), NANOS)
        count += 1
    bill = {
        "lines": {"count": len(lines), "hash": digest.hexdigest()},
        "adjustments": {"count": count, "hash": adjusted.hexdigest()},
        "sums": [
            {"currency": currency, "lines": str(ran), "adjustments": str(by_hand), "total": str(ran + by_hand)}
            for currency, (ran, by_hand) in sorted(sums.items())
        ],
    }
    return bill, lines


def check_seals(ledger):
    """Each seal's bill, as it must be; its lines."""
    bills, lines = [], []
    for seal in ledger.seals:
        bill, own = sealed_bill(ledger, seal)
        for part, found in bill.items():
            if seal["draft"][part] != found:
                ledger.tell(f"seal {seal['number']}: its {part} are {seal['draft'][part]}, and must be {found}")
        bills.append({"number": seal["number"], "fromMs": seal["since"], "toMs": seal["until"], **bill})
        lines.extend(own)
    return bills, lines


def amounts_of(ledger, uid, seal, seq):
    """[nano-units, milli-core·ms, MiB·ms, GPU·ms] by currency: a sealed period of a Pod, by the events up to there."""
    window = {"now": seal["until"], "from": seal["since"], "to": seal["until"]}
    sums = defaultdict(lambda: [0, 0, 0, 0])
    for line in ledger.lines(uid, seq, window):
        own = sums[line["currency"]]
        own[0] += int(line["nanos"])
        own[1 + list(FIELDS).index(line["resource"])] += int(line["quantity"])
    return sums


def check_corrections(ledger, uid):
    """
    Behind each correction of a Pod, and at the end of the log, what was sealed of it and all its corrections up to there
    have to come to what the events up to there say of the sealed period.
    """
    events = ledger.pods[uid]
    at = {record["id"]: record["seq"] for record, _ in events}
    made = defaultdict(lambda: [0, 0, 0, 0])
    for record, fact in events:
        if fact["kind"] != "ADJUSTED" or "corrects" not in fact:
            continue
        seq, said = record["seq"], fact["corrects"]
        seal = next((s for s in ledger.seals if [s["since"], s["until"]] == [said["fromMs"], said["toMs"]]), None)
        if seal is None or seal["head"] >= seq:
            ledger.tell(f"event {seq} corrects a period that was not sealed")
            continue
        if not seal["head"] < at.get(said["causedBy"], 0) < seq:
            ledger.tell(f"event {seq} corrects a sealed period for what did not come too late")
        sum_of = made[(seal["number"], fact["currency"])]
        sum_of[0] += rounded(Fraction(fact["amount"]), NANOS)
        for index, name in enumerate(QUANTITIES.values()):
            sum_of[1 + index] += int(said["quantities"][name])
        check_sum(ledger, uid, seal, fact["currency"], sum_of, seq)
    last = events[-1][0]["seq"]
    for seal in ledger.seals:
        if last <= seal["head"]:
            continue
        currencies = {*amounts_of(ledger, uid, seal, seal["head"]), *amounts_of(ledger, uid, seal, last)}
        for currency in currencies | {named for number, named in made if number == seal["number"]}:
            check_sum(ledger, uid, seal, currency, made[(seal["number"], currency)], last)


def check_sum(ledger, uid, seal, currency, made, seq):
    was, now = (amounts_of(ledger, uid, seal, upto)[currency] for upto in (seal["head"], seq))
    due = [after - before for after, before in zip(now, was)]
    if made != due:
        ledger.tell(
            f"Pod {uid}: the corrections of seal {seal['number']} up to event {seq} come to {made} "
            f"(nano-{currency}, {', '.join(QUANTITIES.values())}), and must be {due}"
        )


def totals_of(lines, adjustments):
    """Nano-units by currency; what comes to nothing is left out."""
    sums = defaultdict(int)
    for line in lines:
        sums[line["currency"]] += int(line["nanos"])
    for _, fact in adjustments:
        sums[fact["currency"]] += rounded(Fraction(fact["amount"]), NANOS)
    return {currency: str(nanos) for currency, nanos in sorted(sums.items()) if nanos != 0}


def audit(file, given):
    problems = []
    with open(file, encoding="utf-8") as lines:
        export = read_export(lines, problems)
    ledger = Ledger(export, problems)
    intervals = []
    for uid in ledger.pods:
        own, _, _ = ledger.as_of(uid, export["seq"])
        for earlier, later in zip(own, own[1:]):
            if earlier["end"] > later["start"]:
                problems.append(f"Pod {uid}: sandboxes {earlier['incarnation']} and {later['incarnation']} overlap")
        intervals.extend(own)
    seals, sealed = check_seals(ledger)
    for uid in ledger.pods:
        check_corrections(ledger, uid)
    sealed_until = ledger.seals[-1]["until"] if ledger.seals else 0
    bill = [line for line in sealed if given.since <= line["hourMs"] < given.until]
    window = {"now": given.now, "from": max(given.since, sealed_until), "to": given.until}
    for uid in ledger.pods:
        bill.extend(ledger.lines(uid, export["seq"], window))
    # As if nothing had been sealed: no correction, and every line by all that is known.
    window = {"now": max(given.now, sealed_until), "from": 0, "to": EVER}
    ran = [line for uid in ledger.pods for line in ledger.lines(uid, export["seq"], window)]
    stated = [pair for pair in ledger.adjustments(0, EVER) if "corrects" not in pair[1]]
    return {
        "events": export["seq"],
        "headHash": export["head"],
        "problems": problems,
        "intervals": intervals,
        "lines": bill,
        "totals": totals_of(bill, ledger.adjustments(given.since, given.until)),
        "seals": seals,
        "unsealed": totals_of(ran, stated),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="+")
    parser.add_argument("--now", type=int, default=EVER, help="open intervals are priced up to here")
    parser.add_argument("--from", dest="since", type=int, default=0, help="whole UTC hours, half-open")
    parser.add_argument("--to", dest="until", type=int, default=EVER)
    given = parser.parse_args()
    wrong = False
    for file in given.file:
        found = audit(file, given)
        wrong = wrong or len(found["problems"]) > 0
        json.dump(found, sys.stdout)
        sys.stdout.write("\n")
    sys.exit(3 if wrong else 0)


if __name__ == "__main__":
    main()
