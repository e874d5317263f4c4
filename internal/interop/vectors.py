"""Make test vectors by running the installed node's own sweep on random stores.

usage: vectors.py SEED COUNT
       vectors.py FILE

Writes a JSON array to stdout. Each element holds a small store, the settings and parameters of a sweep,
and what the store holds afterwards. FILE has vectors already, and what this node makes of them is written.
The node's clock stands still while it sweeps. A sweep of all tenants (null) is one of each tenant, as the
node's own command does it. The node's answer is taken as it is, but for two decisions of decayctl (docs/decisions.md): a floor of 0 that is asked for switches the
node's own floor off (4), and an override keeps its confidence (11).
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from stigmem_node import db as node_db
from stigmem_node.lifecycle import decay
from stigmem_node.recall import graph_index
from stigmem_node.settings import settings

SCOPES = ["local", "team", "company", "public"]
ENTITIES = [
    "user:a",
    "stigmem://acme/user/1",
    "stigmemory:note",
    "urn:acme:2",
    " stigmem:blank",
]
OWN_ENTITIES = [
    "stigmem:node:abc",
    "stigmem:conflict:1",
    "STIGMEM:Node",
    "stigmem:/one",
]
RELATIONS = ["test:role", "knows", "relation:x", "stigmem://acme/rel/knows"]
OWN_RELATIONS = ["stigmem:received_from", "Stigmem:ttl"]
CONFIDENCES = [0.0, 0.05, 0.1, 0.3, 0.35, 0.5, 0.7, 0.9, 0.95, 1.0]
TTLS = [0, 1, 60, 3600, 86_400, 90 * 86_400]
COLUMNS = {
    "facts": (
        "id, entity, relation, value_type, value_v, source, timestamp, valid_until, confidence, scope,"
        " tenant_id"
    ),
    "fact_validity_overrides": "fact_id, valid_until, confidence, reason, updated_at, updated_by",
    "entity_edges": (
        "id, subject, relation, object, scope, valid_until, confidence, decay_epoch, created_at"
    ),
    "fact_retractions": "fact_id, retracted_at, retracted_by",
}


class Maker:
    """Draws random stores and sweeps."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = datetime(2026, 11, 1, 12, 0, 0, 123_456, tzinfo=UTC)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def near(self, moment: datetime) -> str:
        """A stamp at a moment, or hard by it, in one of the node's two forms."""
        shift = self.random.choice(
            [0, 0, 1, -1, 500_000, -500_000, 3_600_000_000, -3_600_000_000]
        )
        moment += timedelta(microseconds=shift)
        if self.chance(0.05):
            moment = moment.replace(microsecond=0)
        return moment.isoformat()

    def timestamp(self) -> str:
        age = timedelta(
            seconds=self.random.choice([*TTLS, self.random.randrange(400 * 86_400)])
        )
        return self.near(self.now - age)

    def valid_until(self) -> str | None:
        if self.chance(0.7):
            return None
        days = self.random.choice([0, 0, 1, -1, 30, -30, 20_000])
        if days and self.chance(0.2):
            return (self.now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.near(self.now + timedelta(days=days))

    def identifier(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def fact(self, number: int) -> dict[str, Any]:
        own = self.random.random()
        return {
            "id": self.identifier(),
            "entity": self.random.choice(OWN_ENTITIES if own < 0.08 else ENTITIES),
            "relation": self.random.choice(
                OWN_RELATIONS if 0.08 <= own < 0.14 else RELATIONS
            ),
            "value_type": "string",
            "value_v": f"v{number}",
            "source": "agent:a",
            "timestamp": self.timestamp(),
            "valid_until": self.valid_until(),
            "confidence": self.random.choice(CONFIDENCES),
            "scope": self.random.choice(SCOPES),
            "tenant_id": self.random.choice(["default", "default", "acme"]),
        }

    def override(self, fact: dict[str, Any]) -> dict[str, Any]:
        return {
            "fact_id": fact["id"],
            "valid_until": self.valid_until(),
            "confidence": self.random.choice([None, *CONFIDENCES]),
            "reason": self.random.choice([None, "quarantine_rejected"]),
            "updated_at": "2026-10-01T00:00:00+00:00",
            "updated_by": self.random.choice([None, "agent:moderator"]),
        }

    def edge(self, fact: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": fact["id"],
            "subject": fact["entity"],
            "relation": fact["relation"],
            "object": "urn:acme:3",
            "scope": fact["scope"],
            "valid_until": fact["valid_until"],
            "confidence": fact["confidence"],
            "decay_epoch": None,
            "created_at": 1_767_225_600_000,
        }

    def vector(self, number: int) -> dict[str, Any]:
        facts = [
            self.fact(i) for i in range(self.random.choice([0, 1, 1, 8, 8, 20, 40]))
        ]
        floors = [0.0, 0.3, 0.5, 0.7, 0.95, 1.0]
        return {
            "name": f"fresh-{number:03d}",
            "now": self.now.isoformat(),
            "settings": {
                "decay_ttl_seconds": self.random.choice([0, 0, *TTLS]),
                "decay_min_confidence": self.random.choice([0.0, 0.0, *floors]),
            },
            "params": {
                "ttl_seconds": self.random.choice([None, None, *TTLS]),
                "min_confidence": self.random.choice([None, None, *floors]),
                "scope": self.random.choice([None, None, None, *SCOPES]),
                "tenant": self.random.choice([None, "default", "default", "acme"]),
                "dry_run": self.chance(0.15),
            },
            "store": {
                "facts": facts,
                "fact_validity_overrides": [
                    self.override(f) for f in facts if self.chance(0.25)
                ],
                "entity_edges": [self.edge(f) for f in facts if self.chance(0.4)],
            },
        }


def rows(path: str, table: str) -> list[dict[str, Any]]:
    """All rows of a table, by the id of their fact."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.row_factory = sqlite3.Row
        found = conn.execute(f"SELECT {COLUMNS[table]} FROM {table} ORDER BY 1, 2")
        return [dict(row) for row in found]


def load(path: str, store: dict[str, list[dict[str, Any]]]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn, conn:
        for table, all_rows in store.items():
            for row in all_rows:
                names, places = ", ".join(row), ", ".join("?" * len(row))
                conn.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({places})",
                    list(row.values()),
                )


def sweep(path: str, vector: dict[str, Any]) -> dict[str, Any]:
    """Run the node's sweep on a store, at the vector's instant."""
    now = datetime.fromisoformat(vector["now"])
    params = vector["params"]
    settings.db_path = path
    settings.decay_ttl_seconds = vector["settings"]["decay_ttl_seconds"]
    settings.decay_min_confidence = vector["settings"]["decay_min_confidence"]
    if params["min_confidence"] == 0:
        settings.decay_min_confidence = 0.0  # decision 4
    clock = mock.Mock(wraps=datetime)
    clock.now.return_value = now
    with (
        mock.patch.object(decay, "datetime", clock),
        mock.patch.object(graph_index.time, "time", return_value=now.timestamp()),
    ):
        tenants = {fact["tenant_id"] for fact in vector["store"]["facts"]}
        if params["tenant"] is not None:
            tenants = {params["tenant"]}
        rules = {name: value for name, value in params.items() if name != "tenant"}
        swept = [decay.run_decay_sweep(**rules, tenant_id=t) for t in sorted(tenants)]
        return {
            "scanned": sum(each["scanned"] for each in swept),
            "decayed": sum(each["decayed"] for each in swept),
            "dry_run": params["dry_run"],
        }


def complete(path: str, vector: dict[str, Any]) -> None:
    """Add what the node makes of the store to a vector."""
    load(path, vector["store"])
    result = sweep(path, vector)
    before = {row["fact_id"]: row for row in vector["store"]["fact_validity_overrides"]}
    overrides = rows(path, "fact_validity_overrides")
    for row in overrides:
        if row != before.get(row["fact_id"]):
            row["updated_at"] = None  # the clock of whoever sweeps
            row["confidence"] = before.get(row["fact_id"], row)[
                "confidence"
            ]  # decision 11
    vector["has_rule"] = vector["params"]["ttl_seconds"] is not None or (
        settings.decay_ttl_seconds > 0
        or settings.decay_min_confidence > 0
        or (vector["params"]["min_confidence"] or 0) > 0
    )
    vector["expect"] = {
        "result": result,
        "fact_validity_overrides": overrides,
        "fact_retractions": rows(path, "fact_retractions"),
        "entity_edges": rows(path, "entity_edges"),
    }


def drawn(seed: int, count: int) -> list[dict[str, Any]]:
    maker = Maker(seed)
    return [maker.vector(number) for number in range(count)]


def main(vectors: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty = str(Path(folder, "empty.db"))
        node_db.apply_migrations(empty)
        for vector in vectors:
            path = str(Path(folder, vector["name"] + ".db"))
            shutil.copy(empty, path)
            complete(path, vector)
    json.dump(vectors, sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(json.loads(Path(sys.argv[1]).read_text()))
    else:
        main(drawn(int(sys.argv[1]), int(sys.argv[2])))
