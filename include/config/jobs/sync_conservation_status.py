"""Keeps the conservation status of the species that GBIF has resolved, from the Red List: etl_jobs.conservation_status.

Needs the connection `iucn` with a token of https://api.iucnredlist.org as its password. What comes of it may not be
passed on; see the table's comment.
"""

from __future__ import annotations

from datetime import timedelta

from sluiceway.jobs.definition import Job
from sluiceway.jobs.taxa import gbif, iucn

JOB = Job(
    due="""
        SELECT DISTINCT name AS item
        FROM (
            SELECT CASE state WHEN 'synonym' THEN answer #>> '{acceptedUsage,canonicalName}' ELSE canonical_name END
            FROM etl_jobs.taxon WHERE state IN ('resolved', 'synonym')
        ) AS species (name)
        WHERE name ~ '^[[:alpha:]]+ [[:alpha:]-]+$'
    """,
    needs_results=(gbif.TAXA,),
    work=iucn.status,
    results=iucn.STATUS,
    service=iucn.IUCN,
    batch=50,
    # a new version of the Red List makes its species due sooner: check_backbone
    recheck_after=timedelta(days=365),
)
