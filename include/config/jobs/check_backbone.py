"""Whether GBIF or the Red List has a new version: etl_jobs.source_version. What came from an older one is asked anew.

The Red List is asked only where something came from it, so that nobody needs its token for GBIF alone.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sluiceway.jobs.definition import Job
from sluiceway.jobs.taxa import backbone, gbif, iucn

JOB = Job(
    due="""
        SELECT 'gbif' AS item
        UNION ALL
        SELECT 'iucn' WHERE EXISTS (
            SELECT FROM etl_jobs.item WHERE job = 'sync_conservation_status' AND state = 'done'
        )
    """,
    work=backbone.check,
    results=backbone.VERSIONS,
    then=partial(
        backbone.make_older_due,
        jobs={"gbif": "resolve_taxa", "iucn": "sync_conservation_status"},
        over=timedelta(days=7),
    ),
    service=gbif.GBIF,
    others=(iucn.IUCN,),
    # each alone: where one cannot be asked, the other has its answer
    batch=1,
    recheck_after=timedelta(hours=12),
)
