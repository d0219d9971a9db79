"""What a run publishes, and in which order, so that no reader ever sees half of it.

1. The steps write new Delta versions and model files, `then` builds the online index and registers the scorer.
   Readers still see what `data/published.json` names: the state before.
2. `data/published.json` is replaced, which is atomic: all tables and models are those of this run, for every lakehouse
   that is opened with `published=True` from now on.
3. What was upserted and is landed now leaves the inbox, and each online index is put in the place of the old one, in
   one SQLite transaction. An `IdentityStore` reads nothing but its index and what was upserted since, never a table:
   its answers are of the state before, whole, until then. So an index is never ahead of the tables. `index` in
   `published.json` names the base that was built from the published tables; a store that finds another at work, for
   the run was killed in between, puts it in place before it answers.

A run that was killed in 1 is taken up by the next, which publishes both. The first index of a new model is at work at
once: only who names that model, as its registered scorer does, can see it.
"""

from __future__ import annotations

from typing import Any

from c360ml import tables
from c360ml.identity.online_index import bases_of, build_index, is_indexed
from c360ml.lakehouse import Lakehouse

MODEL_FILES = "models/*.json"
_OF_THE_RUN = ("run_id", "digest")


def publish(lake: Lakehouse, *, run_id: str, digest: str) -> None:
    """Publish the newest version of every table, the model files and the index, all at once.

    An index that is at work is brought up to date first, if `then` did not.

    >>> import tempfile
    >>> lake = Lakehouse(tempfile.mkdtemp())
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:1' as record_id, 'a:1' as cluster_id, 1 as cohesion")
    >>> publish(lake, run_id="20260601T120000", digest="d")
    >>> _ = lake.write(tables.CLUSTERS, "select 'a:2' as record_id, 'a:2' as cluster_id, 1 as cohesion")
    >>> reader = Lakehouse(lake.folder, published=True)
    >>> reader.rows(f"select record_id from {reader.open(tables.CLUSTERS)}")
    [('a:1',)]
    """
    content = _newest(lake)
    if not content["index"] and is_indexed(lake.folder):
        build_index(lake)
        content = _newest(lake)
    before = lake.publication() or {}
    same = content == {name: part for name, part in before.items() if name not in _OF_THE_RUN}
    if not same or before["digest"] != digest:
        before = {"run_id": run_id, "digest": digest, **content}
    lake.publish(before)


def publish_erased(lake: Lakehouse) -> None:
    """Publish the newest tables again after rows were deleted from them; nothing if no run published any."""
    before = lake.publication()
    if before is not None:
        lake.publish({name: before[name] for name in _OF_THE_RUN} | _newest(lake))


def undo_unpublished(lake: Lakehouse) -> None:
    """Take tables and models back to what is published: a run that was killed is as if it had never begun.

    Tombstones stay: they say who must not come back.
    """
    before = lake.publication()
    if before is None:
        return
    for table in tables.ALL:
        version = before["versions"].get(table.path)
        if table is not tables.TOMBSTONES and version is not None and lake.version(table) != version:
            lake.restore(table, version)
    for name, model in before["models"].items():
        lake.write_json(name, model)


def _newest(lake: Lakehouse) -> dict[str, Any]:
    versions = {table.path: version for table in tables.ALL if (version := lake.version(table)) is not None}
    files = [path.relative_to(lake.folder).as_posix() for path in sorted(lake.folder.glob(MODEL_FILES))]
    return {
        "versions": versions,
        "models": {name: lake.read_json(name) for name in files},
        "index": bases_of(lake.folder, versions),
    }
